// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { type CheckpointImage, readImage } from "../image/image.ts";
import { VMA_TYPE } from "../image/structs.ts";
import { RW_FLAGS, syntheticImage, syntheticPage } from "../image/testing/synthetic_image.ts";
import { compareCore, type CoreComparison, unreadSections } from "./compare_core.ts";

const ANON = 0x10000n;
const FILE = 0x40000n;

/** Anonymous: pages 1 and 2 of four. A file's: pages 0 and 1 of two. */
function image(): CheckpointImage {
  return readImage(syntheticImage({
    vmas: [
      {
        start: ANON,
        end: ANON + 0x4000n,
        flags: RW_FLAGS,
        pgoff: ANON >> 12n,
        pages: [ANON + 0x1000n, ANON + 0x2000n],
      },
      {
        start: FILE,
        end: FILE + 0x2000n,
        flags: RW_FLAGS,
        type: VMA_TYPE.FILE,
        name: "/lib/x.so",
        pages: [FILE, FILE + 0x1000n],
      },
    ],
  }));
}

/** What a debugger would read of `pages` pages. Pages that are no part of the image are zeros. */
function memory(start: bigint, pages: number, held: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(pages * 4096);
  for (const page of held) bytes.set(syntheticPage(start + BigInt(page) * 4096n), page * 4096);
  return bytes;
}

function counts({ compared, zero, notInCore, unread }: CoreComparison): Record<string, number> {
  return { compared, zero, notInCore, unread };
}

function core(change: (anon: Uint8Array, file: Uint8Array) => void = () => {}) {
  const anon = memory(ANON, 4, [1, 2]);
  const file = memory(FILE, 2, [0, 1]);
  change(anon, file);
  return [{ address: FILE, bytes: file }, { address: ANON, bytes: anon }];
}

Deno.test("compareCore() counts pages that agree and zeros that the image leaves out", () => {
  const comparison = compareCore(image(), core());
  assertEquals(comparison.findings, []);
  assertEquals(counts(comparison), { compared: 4, zero: 2, notInCore: 0, unread: 0 });
});

Deno.test("compareCore() finds one flipped bit, in an anonymous page and in a file's", () => {
  const comparison = compareCore(
    image(),
    core((anon, file) => {
      anon[2 * 4096 + 4095]! ^= 0x80;
      file[4096 + 17]! ^= 1;
    }),
  );
  assertEquals(comparison.findings.map(({ id, path }) => [id, path]), [
    ["E_CORE_DIFFERS", "task[0]/vma[0], page 0x12000"],
    ["E_CORE_DIFFERS", "task[0]/vma[1], page 0x41000"],
  ]);
  assert(comparison.findings[1]!.message.startsWith("byte 17 "));
});

Deno.test("compareCore() finds a page of anonymous memory that the image leaves out", () => {
  const { findings, zero } = compareCore(image(), core((anon) => anon[3 * 4096 + 5] = 1));
  assertEquals(findings.map(({ id, path }) => [id, path]), [
    ["E_CORE_PAGE_MISSING", "task[0]/vma[0], page 0x13000"],
  ]);
  assertEquals(zero, 1);
});

Deno.test("compareCore() leaves out what the debugger could not read, and counts it", () => {
  const broken = core((anon) => anon.fill(0));
  assertEquals(compareCore(image(), broken).findings.length, 2);
  const comparison = compareCore(image(), broken, [{ start: ANON, end: ANON + 0x4000n }]);
  assertEquals(comparison.findings, []);
  assertEquals(counts(comparison), { compared: 2, zero: 0, notInCore: 0, unread: 2 });
});

Deno.test("compareCore() counts pages that the core does not hold", () => {
  const comparison = compareCore(image(), [{ address: ANON, bytes: memory(ANON, 2, [1]) }]);
  assertEquals(comparison.findings, []);
  assertEquals(counts(comparison), { compared: 1, zero: 1, notInCore: 3, unread: 0 });
});

Deno.test("unreadSections() takes the ranges from what gdb says", () => {
  const output = [
    "warning: Memory read failed for corefile section, 4096 bytes at 0xffffffffff600000.",
    "Memory read failed for corefile section, 16384 bytes at 0x7ffff7fc1000.",
    "Saved corefile /work/core",
  ].join("\n");
  assertEquals(unreadSections(output), [
    { start: 0xffffffffff600000n, end: 0xffffffffff601000n },
    { start: 0x7ffff7fc1000n, end: 0x7ffff7fc5000n },
  ]);
  assertEquals(unreadSections("Saved corefile /work/core"), []);
});
