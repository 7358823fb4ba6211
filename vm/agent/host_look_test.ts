// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { PAGE_SIZE } from "../../lib/abi/arch.ts";
import { blockHash } from "../../lib/abi/block_hash.ts";
import type { PagemapEntry } from "../../lib/compare/pagemap.ts";
import { PAGING_MODES } from "../../lib/x86/page_tables.ts";
import { SyntheticMemory, USER_ENTRY } from "../../lib/x86/testing/synthetic_memory.ts";
import { HostLook } from "./host_look.ts";

const [MODE] = PAGING_MODES.x86_64;
const STACK = 0x7ffff_0000;
const RANGES = [{ start: 0x400, end: 0x410 }, { start: STACK, end: STACK + 16 }];

/** A process: its text in frame 40, four pages of its stack from a frame on, one in swap. */
function addProcess(memory: SyntheticMemory, tables: number, stack: number): PagemapEntry[] {
  const tablesOf = (page: number) =>
    (page < 0x1000 ? [0, 1, 2, 3] : [0, 4, 5, 6]).map((i) => (tables + i) * PAGE_SIZE);
  const add = (page: number, frame: number | undefined): PagemapEntry => {
    const value = frame === undefined ? 0x3e00_2000n : BigInt(frame * PAGE_SIZE) | USER_ENTRY;
    memory.map(MODE!, { page, tables: tablesOf(page), value });
    const [present, swapped] = [frame !== undefined, frame === undefined];
    return { page, present, swapped, file: page < 0x1000, frame: BigInt(frame ?? 0) };
  };
  const own = [0, 1, 2, 3].map((i) => add(STACK + i, stack + i));
  return [add(0x400, 40), ...own, add(STACK + 9, undefined)];
}

function guest(): { memory: SyntheticMemory; look: HostLook; searches: () => number } {
  const memory = new SyntheticMemory(128);
  let searches = 0;
  const { pieces } = memory;
  memory.pieces = () => {
    searches++;
    return pieces.call(memory);
  };
  return { memory, look: new HostLook(memory, "x86_64"), searches: () => searches };
}

Deno.test("HostLook sees a process's pages, and searches the memory for none that it has seen before", () => {
  const { memory, look, searches } = guest();
  const entries = addProcess(memory, 1, 50);
  memory.bytes.fill(7, 51 * PAGE_SIZE, 52 * PAGE_SIZE);
  const seen = look.pagesOf(entries, RANGES)!;
  assertEquals(seen.differences, []);
  assertEquals(seen.pages.map(({ frame }) => frame), [40, 50, 51, 52, 53, undefined]);
  assertEquals(look.pageHash(seen.pages[2]!), blockHash(new Uint8Array(PAGE_SIZE).fill(7)));
  assertEquals([look.pageHash(seen.pages[5]!), look.pageHash({ page: 1, frame: 128 })], [
    undefined,
    undefined,
  ]);
  assertEquals([look.pagesOf(entries, RANGES)?.differences, searches()], [[], 1]);
});

Deno.test("HostLook tells a child from its parent, whose pages it shares", () => {
  const { memory, look, searches } = guest();
  const parent = addProcess(memory, 1, 50);
  const child = addProcess(memory, 10, 50);
  // The child has written to a page, and another is its own from the beginning.
  memory.setEntry(MODE!, { table: 16 * PAGE_SIZE, index: STACK % 512 + 1 }, 0x60067n);
  const changed = child.map((entry) => entry.page === STACK + 1 ? { ...entry, frame: 0x60n } : entry);
  assertEquals(look.pagesOf(parent, RANGES)?.differences, []);
  assertEquals(look.pagesOf(changed, RANGES)?.differences, []);
  assertEquals(searches(), 2);
});

Deno.test("HostLook names each page of which pagemap says something else", () => {
  const { memory, look } = guest();
  const entries = addProcess(memory, 1, 50);
  const lies: [PagemapEntry[], string][] = [
    [
      entries.map((entry, i) => i === 2 ? { ...entry, frame: 49n } : entry),
      "0x7ffff0001 in frame 0x33, in frame 0x31",
    ],
    [entries.toSpliced(2, 1), "0x7ffff0001 in frame 0x33, absent"],
    [
      entries.map((entry, i) => i === 2 ? { ...entry, present: false, swapped: true } : entry),
      "0x7ffff0001 in frame 0x33, not in memory",
    ],
    [
      entries.map((entry, i) => i === 5 ? { ...entry, present: true, frame: 49n } : entry),
      "0x7ffff0009 not in memory, in frame 0x31",
    ],
    [[...entries, { ...entries[2]!, page: STACK + 7 }], "0x7ffff0007 absent, in frame 0x33"],
    // That of the page by which the tables are found.
    [
      entries.map((entry, i) => i === 4 ? { ...entry, frame: 49n } : entry),
      "0x7ffff0003 in frame 0x35, in frame 0x31",
    ],
  ];
  for (const [told, expected] of lies) {
    const found = look.pagesOf(told, RANGES)?.differences ?? [];
    assertEquals(found.map(({ page, host, guest }) => `0x${page.toString(16)} ${host}, ${guest}`), [
      expected,
    ]);
  }
});

Deno.test("HostLook sees nothing where no page tables are like what pagemap says", () => {
  const { memory, look } = guest();
  assertEquals(look.pagesOf([], RANGES), undefined);
  const entries = addProcess(memory, 1, 50);
  assertEquals(
    look.pagesOf(entries.map((entry) => ({ ...entry, frame: entry.frame + 1n })), RANGES),
    undefined,
  );
  memory.bytes.fill(0);
  assertEquals(look.pagesOf(entries, RANGES), undefined);
});

Deno.test("HostLook finds out whether an i386 kernel has PAE", () => {
  for (const mode of PAGING_MODES.i386) {
    const memory = new SyntheticMemory(64);
    const page = 0xbfffe;
    const tables = (mode.entryWords === 1 ? [3, 9] : [3, 7, 9]).map((frame) => frame * PAGE_SIZE);
    memory.map(mode, { page, tables, value: BigInt(40 * PAGE_SIZE) | USER_ENTRY });
    const entries = [{ page, present: true, swapped: false, file: false, frame: 40n }];
    const look = new HostLook(memory, "i686");
    for (let i = 0; i < 2; i++) {
      assertEquals(look.pagesOf(entries, [{ start: page, end: page + 1 }])?.pages, [{ page, frame: 40 }]);
    }
  }
});
