// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import type { ManifestStep } from "./manifest.ts";
import { contentBytes } from "./page_content.ts";
import { StepMemory } from "./step_memory.ts";

const BASE = { op: "mmap", ret: "40000000", len: "4000", prot: "3", flags: "32", pgoff: "0" };

function memoryOf(steps: readonly Record<string, string>[], path?: string): StepMemory {
  const list = steps.map((fields): ManifestStep => ({ op: fields.op!, fields, text: fields.text ?? "" }));
  return new StepMemory(list, () => path);
}

/** The word at an address, or undefined when its page is untouched or unknown. */
function word(memory: StepMemory, address: number): number | undefined {
  const content = memory.pages.get(Math.floor(address / 4096))?.content;
  return content && new DataView(contentBytes(content).buffer).getUint32(address % 4096, true);
}

Deno.test("StepMemory fills, pokes and forgets pages", () => {
  const memory = memoryOf([
    BASE,
    { op: "fill", va: "40000000", pages: "2", seed: "11111111" },
    { op: "poke", va: "40001001", byte: "5a" },
    { op: "readtouch", va: "40002000", got: "00" },
    { op: "munmap", va: "40000000", len: "1000", ret: "0" },
  ]);
  assertEquals(word(memory, 0x40000000), undefined);
  assertEquals(word(memory, 0x40001000), (0x40001000 ^ 0x11111111) & 0xffff00ff | 0x5a00);
  assertEquals([word(memory, 0x40002000), memory.pages.get(0x40002)?.isWritten], [0, false]);
  assertEquals(memory.contradictions, []);
});

Deno.test("StepMemory knows pages of files: words of the offset, zeros after the end", () => {
  const file = { op: "file", path: "/t/f", pages: "1", seed: "77770000", extra: "102" };
  const map = { ...BASE, flags: "12", fd: "6" };
  const touch = { op: "poke", va: "40001101", byte: "1" };
  const memory = memoryOf([file, map, touch], "/t/f (deleted)");
  assertEquals(word(memory, 0x400010fc), 0x777710fc);
  // Two bytes of the file's last word, one of them poked, then nothing.
  assertEquals(word(memory, 0x40001100), 0x0100);
  assertEquals(memory.areas[0]?.flags, 0x8100073n);
  assertEquals(word(memoryOf([map, touch], "/t/f"), 0x400010fc), undefined);
});

Deno.test("StepMemory puts a name together that a newline broke", () => {
  const rest = { op: "line", text: "line pages=1 seed=5 extra=0", pages: "1", seed: "5", extra: "0" };
  const steps = [{ op: "file", path: "/t/new" }, rest, { ...BASE, flags: "12" }];
  const memory = memoryOf([...steps, { op: "poke", va: "40000000", byte: "5" }], "/t/new\nline");
  assertEquals(word(memory, 0x40000004), 4 ^ 5);
});

Deno.test("StepMemory keeps vm_flags as 2.6.28 does", () => {
  const flagsAfter = (...steps: Record<string, string>[]): string =>
    memoryOf([BASE, ...steps]).areas.sort((a, b) => a.start - b.start).map(({ flags }) => flags.toString(16))
      .join(" ");
  const range = { va: "40001000", len: "1000" };
  assertEquals(flagsAfter(), "100073");
  assertEquals(flagsAfter({ op: "mprotect", ...range, prot: "1" }), "100073 100071 100073");
  assertEquals(flagsAfter({ op: "mprotect", ...range, prot: "0", ret: "-13" }), "100073");
  assertEquals(flagsAfter({ op: "mlock", ...range }), "100073 102073 100073");
  assertEquals(flagsAfter({ op: "madvise", ...range, advice: "10" }), "100073 120073 100073");
  assertEquals(flagsAfter({ op: "munmap", ...range }), "100073 100073");
  const readOnly = memoryOf([{ ...BASE, prot: "1" }, {
    op: "mprotect",
    va: "40000000",
    len: "4000",
    prot: "3",
  }]);
  assertEquals(readOnly.areas[0]?.flags, 0x100073n);
  assertEquals(memoryOf([{ ...BASE, flags: "4032" }]).areas[0]?.flags, 0x200073n);
});

Deno.test("StepMemory moves pages with mremap", () => {
  const memory = memoryOf([
    BASE,
    { op: "fill", va: "40000000", pages: "2", seed: "0" },
    { op: "mremap", from: "40001000", to: "48000000", ret: "48000000" },
  ]);
  assertEquals(word(memory, 0x48000000), 0x40001000);
  assertEquals([word(memory, 0x40000000), word(memory, 0x40001000)], [0x40000000, undefined]);
  assertEquals(memory.areaAt(0x48000000)?.end, 0x48003000);
});

Deno.test("StepMemory names a read that the steps contradict, and what words make uncertain", () => {
  const read = memoryOf([BASE, { op: "readtouch", va: "40002000", got: "01" }]);
  assertEquals(read.contradictions.map(({ index }) => index), [1]);
  const told = memoryOf([{ op: "manypages", text: "manypages va=40000000 dirty=every third" }, BASE]);
  assert(told.areaAt(0x40000000)?.isUncertain);
  assert(memoryOf([BASE, { op: "munmap", at: "40000000" }]).areaAt(0x40000000)?.isUncertain);
  assert(!memoryOf([BASE]).areaAt(0x40000000)?.isUncertain);
});
