// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import type { ComparisonContext } from "./comparison_context.ts";
import { execRanges } from "./compare_memory.ts";

const BLOCK_END = 0xbffffff0;

function auxv(...words: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(words).buffer);
}

/** Fields of MM, each with who tells it. */
function ranges(context: unknown): Record<string, string> {
  const entries = Object.entries(execRanges(context as ComparisonContext));
  return Object.fromEntries(entries.map(([name, field]) => [
    name,
    "by" in field ? `0x${field.value.toString(16)} ${field.by}` : "?",
  ]));
}

const PROGRAM = { startData: 0x2000n, endData: 0x2100n, startBrk: 0x3000n };
const OLD_STAT = { start_code: 0x1000n, end_code: 0x1100n, start_stack: 0xbfff0000n };
const OLD_TARGET = {
  ...{ stat: OLD_STAT, auxv: auxv(6, 4096, 31, BLOCK_END, 0, 0) },
  ...{ cmdline: new Uint8Array(8), environ: new Uint8Array(32) },
};

Deno.test("execRanges() takes all from stat where it has all", () => {
  const stat = {
    ...{ ...OLD_STAT, start_data: 1n, end_data: 2n, start_brk: 3n },
    ...{ arg_start: 4n, arg_end: 5n, env_start: 6n, env_end: 7n },
  };
  assertEquals(ranges({ arch: "i386", target: { ...OLD_TARGET, stat }, program: PROGRAM }), {
    ...{ start_code: "0x1000 stat", end_code: "0x1100 stat", start_stack: "0xbfff0000 stat" },
    ...{ start_data: "0x1 stat", end_data: "0x2 stat", start_brk: "0x3 stat" },
    ...{ arg_start: "0x4 stat", arg_end: "0x5 stat", env_start: "0x6 stat", env_end: "0x7 stat" },
  });
});

Deno.test("execRanges() takes what an old stat lacks from the program and from auxv", () => {
  assertEquals(ranges({ arch: "i386", target: OLD_TARGET, program: PROGRAM }), {
    ...{ start_code: "0x1000 stat", end_code: "0x1100 stat", start_stack: "0xbfff0000 stat" },
    ...{ start_data: "0x2000 program", end_data: "0x2100 program", start_brk: "0x3000 program" },
    ...{ arg_start: "0xbfffffc8 auxv", arg_end: "0xbfffffd0 auxv" },
    ...{ env_start: "0xbfffffd0 auxv", env_end: "0xbffffff0 auxv" },
  });
});

Deno.test("execRanges() leaves out what nothing tells", () => {
  const known = ["start_code", "end_code", "start_stack"];
  const untold = { ...OLD_TARGET, auxv: auxv(6, 4096, 0, 0) };
  assertEquals(Object.keys(ranges({ arch: "i386", target: untold, program: undefined })), known);
  const target = { ...OLD_TARGET, environ: undefined };
  assertEquals(Object.keys(ranges({ arch: "i386", target, program: undefined })), known);
});
