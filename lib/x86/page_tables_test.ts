// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { PAGE_SIZE } from "../abi/arch.ts";
import { findRoots, PAGING_MODES, type PagingMode, type TablePage, walkPageTables } from "./page_tables.ts";
import { SyntheticMemory, USER_ENTRY } from "./testing/synthetic_memory.ts";

const [LONG] = PAGING_MODES.x86_64 as [PagingMode];
const [TWO, PAE] = PAGING_MODES.i386 as [PagingMode, PagingMode];

/** What an entry says of a page that the processor takes for absent: _PAGE_PROTNONE, accessed, dirty. */
const NO_ACCESS = 0x160n;
const NX = 1n << 63n;

interface Case {
  readonly name: string;
  readonly mode: PagingMode;
  /** Addresses of the tables, the root first. */
  readonly tables: readonly number[];
  readonly page: number;
  readonly nx: bigint;
}

function rootsOf(memory: SyntheticMemory, mode: PagingMode, page: Required<TablePage>): number[] {
  return [...findRoots(memory, mode, { ...page, frame: page.frame!, near: [0] })];
}

function at(frame: number): number {
  return frame * PAGE_SIZE;
}

const CASES: readonly Case[] = [
  { name: "four levels", mode: LONG, tables: [3, 5, 7, 9].map(at), page: 0x7ffc12345, nx: NX },
  { name: "PAE", mode: PAE, tables: [at(3) + 0x60, at(7), at(9)], page: 0xbffff, nx: NX },
  { name: "two levels", mode: TWO, tables: [3, 9].map(at), page: 0xbffff, nx: 0n },
];

for (const { name, mode, tables, page, nx } of CASES) {
  const entry = (frame: number) => BigInt(frame) << 12n;
  const root = tables[0]!;
  const walk = (memory: SyntheticMemory, start: number, end: number) =>
    walkPageTables(memory, { mode, root, ranges: [{ start, end }] })!;

  Deno.test(`walkPageTables() with ${name} finds pages, those without access, and those elsewhere`, () => {
    const memory = new SyntheticMemory(64);
    const set = (next: number, value: bigint) => memory.map(mode, { page: page - next, tables, value });
    set(0, entry(40) | USER_ENTRY | nx);
    set(1, entry(41) | NO_ACCESS);
    // In swap: no bit says that it is there.
    set(2, 0x1f00_2000n);
    // An empty entry that an erratum wrote to.
    set(3, 0x60n);
    // Of a device, beyond the memory.
    set(5, entry(0x1_0000) | USER_ENTRY);
    assertEquals(walk(memory, page - 6, page + 1), [
      { page: page - 5, frame: 0x1_0000 },
      { page: page - 2, frame: undefined },
      { page: page - 1, frame: 41 },
      { page, frame: 40 },
    ]);
    assertEquals(walk(memory, page - 1, page).map(({ frame }) => frame), [41], "no page outside the range");
  });

  Deno.test(`findRoots() with ${name} finds the root by one page, and what is left of another's`, () => {
    const memory = new SyntheticMemory(64);
    const last = tables.length - 1;
    memory.map(mode, { page, tables, value: entry(40) | USER_ENTRY | nx });
    assertEquals(rootsOf(memory, mode, { page, frame: 40 }), [root]);
    assertEquals(rootsOf(memory, mode, { page, frame: 41 }), []);
    assertEquals(rootsOf(memory, mode, { page: page - 1, frame: 40 }), []);
    // A child shares the frame, but no table.
    const other = tables.map((table, depth) => table + at(depth === last ? 11 : 10));
    memory.map(mode, { page, tables: other, value: entry(40) | USER_ENTRY });
    assertEquals(rootsOf(memory, mode, { page, frame: 40 }), [root, other[0]!]);
    // Page isolation: a second root of the same process leads to the same tables.
    const second = root + at(20);
    const flags = mode === PAE ? 1n : USER_ENTRY;
    memory.map(mode, { page, tables: [second], value: BigInt(tables[1]!) | flags });
    assertEquals(rootsOf(memory, mode, { page, frame: 40 }), [root, other[0]!, second]);
    // A table that is used for something else by now leads nowhere.
    memory.bytes.fill(0xff, tables[last], tables[last]! + PAGE_SIZE);
    assertEquals(rootsOf(memory, mode, { page, frame: 40 }), [other[0]!]);
    assertEquals(walk(memory, page, page + 1).every(({ frame }) => frame !== 40), true);
  });

  Deno.test(`a page without access has an inverted address with ${name}`, () => {
    const memory = new SyntheticMemory(64);
    // pgtable-invert.h: all bits of the address, 51 to 12.
    const inverted = ~entry(42) & 0xf_ffff_ffff_f000n | NO_ACCESS;
    memory.map(mode, { page, tables, value: mode.entryWords === 2 ? inverted : entry(42) | NO_ACCESS });
    assertEquals(walk(memory, page, page + 1), [{ page, frame: 42 }]);
    assertEquals(rootsOf(memory, mode, { page, frame: 42 }), [root]);
  });

  Deno.test(`a huge page is all of its pages with ${name}`, () => {
    const { span } = mode.levels[1]!;
    const memory = new SyntheticMemory(4 * span);
    const huge = Math.floor(page / span) * span;
    const PSE = 0x80n;
    // PAT is where the lowest bit of the address of an ordinary page would be.
    const PAT = 0x1000n;
    const tablesOf = tables.slice(0, -1);
    memory.map(mode, { page: huge, tables: tablesOf, value: entry(2 * span) | USER_ENTRY | PSE | PAT });
    const pages = walk(memory, huge + 3, huge + 5);
    assertEquals(pages, [{ page: huge + 3, frame: 2 * span + 3 }, { page: huge + 4, frame: 2 * span + 4 }]);
    assertEquals(walk(memory, huge, huge + 2 * span).length, span);
    assertEquals(rootsOf(memory, mode, { page: huge + 7, frame: 2 * span + 7 }), [root]);
    assertEquals(rootsOf(memory, mode, { page: huge + 7, frame: 2 * span + 8 }), []);
    // One that is being moved, or has no access.
    const value = mode.entryWords === 2
      ? ~entry(2 * span) & 0xf_ffff_ffff_f000n | NO_ACCESS | PSE
      : entry(2 * span) | NO_ACCESS | PSE;
    memory.map(mode, { page: huge, tables: tablesOf, value });
    assertEquals(walk(memory, huge + 3, huge + 4), [{ page: huge + 3, frame: 2 * span + 3 }]);
  });
}

Deno.test("a process on a kernel with five levels has a root of four", () => {
  const memory = new SyntheticMemory(64);
  const { tables, page } = CASES[0]!;
  memory.map(LONG, { page, tables, value: BigInt(at(40)) | USER_ENTRY });
  memory.setEntry(LONG, { table: at(20), index: 0 }, BigInt(tables[0]!) | USER_ENTRY);
  assertEquals(rootsOf(memory, LONG, { page, frame: 40 }), [tables[0]!]);
});

Deno.test("walkPageTables() survives tables that lead out of memory, and gives up where they go in circles", () => {
  const memory = new SyntheticMemory(8);
  const page = 5;
  memory.map(LONG, {
    page,
    tables: [at(1), at(2), at(3), at(200)].slice(0, 3),
    value: BigInt(at(200)) | USER_ENTRY,
  });
  const ranges = [{ start: 0, end: 2 ** 35 }];
  assertEquals(walkPageTables(memory, { mode: LONG, root: at(1), ranges }), []);
  for (let index = 0; index < 512; index++) {
    memory.setEntry(LONG, { table: at(4), index }, BigInt(at(4)) | USER_ENTRY);
  }
  assertEquals(walkPageTables(memory, { mode: LONG, root: at(4), ranges }), undefined);
});
