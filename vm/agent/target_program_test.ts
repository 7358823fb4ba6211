// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import type { TargetOp } from "../../lib/model/target_op.ts";
import { BLOCK_REGISTERS, decodeResults, encodeProgram, encodeRegisterBlock } from "./target_program.ts";

/** Code, flags and arguments of the op at an offset. */
function opAt(bytes: Uint8Array, offset: number): { code: number; flags: number; a: bigint[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, 64);
  const a = Array.from({ length: 7 }, (_, i) => view.getBigUint64(8 + 8 * i, true));
  return { code: view.getUint32(0, true), flags: view.getUint32(4, true), a };
}

function results(...values: (bigint | Uint8Array)[]): Uint8Array {
  const bytes = values.flatMap((value) => {
    if (typeof value === "bigint") return [...new Uint8Array(BigInt64Array.of(value).buffer)];
    const padding = new Array(-value.length & 7).fill(0);
    return [...new Uint8Array(BigInt64Array.of(BigInt(value.length)).buffer), ...value, ...padding];
  });
  return Uint8Array.from(bytes);
}

Deno.test("encodeProgram() marks scratch offsets, slots and kept results", () => {
  const bytes = encodeProgram([
    { op: "syscall", nr: 9, args: [5n, { scratch: 0x40 }, { slot: 63 }, -1n], keep: 33 },
  ]);
  assertEquals(bytes.length, 64);
  assertEquals(opAt(bytes, 0), {
    code: 1,
    flags: 1 << 2 | 1 << 11 | 33 << 24 | 1 << 30,
    a: [9n, 5n, 0x40n, 63n, 2n ** 64n - 1n, 0n, 0n],
  });
});

Deno.test("encodeProgram() puts each op's arguments where the target looks for them", () => {
  const cases: [TargetOp, number, bigint[]][] = [
    [{ op: "fill", address: 0x1000n, pages: 3, seed: -1, stride: 2 }, 2, [0x1000n, 3n, 0xffffffffn, 2n]],
    [{ op: "read", address: 0x1000n, pages: 3, stride: 1 }, 3, [0x1000n, 3n, 0n, 1n]],
    [{ op: "zero", address: 0x1000n, length: 10 }, 4, [0x1000n, 10n]],
    [{ op: "poke", address: 0x1000n, size: 4, value: 7n }, 5, [0x1000n, 4n, 7n]],
    [{ op: "fork", mode: "child", id: 0 }, 7, [0n, 0n, 0n]],
    [{ op: "fork", mode: "child", id: 0, exitSignal: 23 }, 7, [0n, 0n, 23n]],
    [{ op: "fork", mode: "parent", id: 0 }, 7, [1n, 0n, 0n]],
    [{ op: "fork", mode: "run", id: 5 }, 7, [2n, 5n, 0n]],
    [{ op: "join", id: 5 }, 8, [0n, 5n]],
    [{ op: "stop", label: 4, killNr: 62 }, 9, [4n, 62n]],
    [{ op: "exit", code: 3 }, 10, [3n]],
    [{ op: "report", address: 0x1000n, length: 9 }, 11, [0x1000n, 9n]],
    [{ op: "lar", selector: 7 }, 12, [7n]],
    [{ op: "lsl", selector: 7 }, 13, [7n]],
    [{ op: "segload", selector: 7, register: 3, offset: 2, access: true }, 14, [7n, 3n, 2n, 1n]],
    [{ op: "thread", kind: "thread" }, 15, [0n]],
    [{ op: "thread", kind: "process" }, 15, [1n]],
    [{ op: "check", address: 0x1000n, pages: 1, seed: 2, stride: 1 }, 16, [0x1000n, 1n, 2n, 1n]],
    [{ op: "hash", address: 0x1000n, length: 9 }, 17, [0x1000n, 9n]],
    [{ op: "getpid" }, 18, []],
    [{ op: "syscall32", nr: 4, args: [1n] }, 19, [4n, 1n]],
    [{ op: "auxv", type: 33 }, 20, [33n, 0n]],
    [{ op: "auxv", type: 33, plus: -4096n }, 20, [33n, (1n << 64n) - 4096n]],
    [{ op: "exec" }, 21, []],
  ];
  for (const [op, code, args] of cases) {
    const a = [...args, ...new Array(7 - args.length).fill(0n)];
    assertEquals(opAt(encodeProgram([op]), 0), { code, flags: 0, a }, op.op);
  }
  const withBlock = opAt(encodeProgram([{ op: "stop", label: 1, killNr: 62, registers: 128 }]), 0);
  assertEquals([withBlock.flags, withBlock.a[2]], [1 << 2, 128n]);
});

Deno.test("encodeProgram() lets the bytes of a data op follow it, padded to 8", () => {
  const bytes = encodeProgram([
    { op: "data", offset: 16, bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9) },
    { op: "exit", code: 0 },
  ]);
  assertEquals(bytes.length, 64 + 16 + 64);
  assertEquals(opAt(bytes, 0).a.slice(0, 2), [16n, 9n]);
  assertEquals([...bytes.subarray(64, 80)], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0]);
  assertEquals(opAt(bytes, 80).code, 10);
});

Deno.test("encodeProgram() refuses what the target could not carry out, and says where", () => {
  const refuse = (op: TargetOp, words: string) => assertThrows(() => encodeProgram([op]), RangeError, words);
  refuse(
    { op: "syscall", nr: 1, args: new Array(7).fill(0n) },
    "op 0 (syscall): at most 6 arguments, found 7",
  );
  refuse({ op: "syscall", nr: 1, args: [1n << 64n] }, "argument 1: expected a value of 64 bits");
  refuse(
    { op: "syscall", nr: 1, args: [{ slot: 64 }] },
    "slot: expected a whole number from 0 to 63, found 64",
  );
  refuse({ op: "syscall", nr: 1, args: [{ scratch: 262144 }] }, "scratch offset: expected a whole number");
  refuse({ op: "getpid", keep: -1 }, "keep: expected");
  refuse(
    { op: "data", offset: 262140, bytes: new Uint8Array(5) },
    "data of 5 bytes at scratch offset 262140",
  );
});

const PROGRAM: TargetOp[] = [
  { op: "getpid" },
  { op: "zero", address: 0n, length: 0 },
  { op: "report", address: 0n, length: 3 },
  { op: "fork", mode: "run", id: 1 },
  { op: "lar", selector: 1 },
  { op: "exit", code: 0 },
  { op: "lsl", selector: 1 },
  { op: "join", id: 1 },
  { op: "check", address: 0n, pages: 1, seed: 0, stride: 1 },
];

Deno.test("decodeResults() follows a child that exits early, and the parent after it", () => {
  const { results: found, complete } = decodeResults(
    PROGRAM,
    results(5n, Uint8Array.of(7, 8, 9), 6n, -1n, 0n),
  );
  assertEquals(complete, true);
  assertEquals(found, [
    { index: 0, value: 5n },
    { index: 2, value: 3n, bytes: Uint8Array.of(7, 8, 9) },
    { index: 3, value: 6n },
    { index: 4, value: -1n },
    { index: 8, value: 0n },
  ]);
});

Deno.test("decodeResults() follows a fork that failed", () => {
  const { results: found } = decodeResults(PROGRAM, results(5n, -14n, -11n, 2n));
  assertEquals(found.map(({ index, value }) => [index, value]), [[0, 5n], [2, -14n], [3, -11n], [8, 2n]]);
});

Deno.test("decodeResults() says when a target is still on its way", () => {
  assertEquals(decodeResults(PROGRAM, results(5n)), { results: [{ index: 0, value: 5n }], complete: false });
  assertEquals(decodeResults([], new Uint8Array()), { results: [], complete: true });
});

Deno.test("decodeResults() refuses results that are cut or too many", () => {
  const whole = results(5n, Uint8Array.of(7, 8, 9), 6n, -1n, 0n);
  assertThrows(
    () => decodeResults(PROGRAM, whole.subarray(0, 20)),
    SyntaxError,
    "op 2 (report) at offset 16",
  );
  assertThrows(() => decodeResults(PROGRAM, whole.subarray(0, 27)), SyntaxError, "op 3 (fork) at offset 24");
  assertThrows(
    () => decodeResults(PROGRAM, results(5n, Uint8Array.of(7, 8, 9), 6n, -1n, 0n, 1n)),
    SyntaxError,
    "expected the end at offset 48, found 8 more bytes",
  );
});

Deno.test("encodeRegisterBlock() puts registers, flags, selectors and FPU image at their places", () => {
  const xstate = new Uint8Array(576).fill(7);
  const values = new Map([["r15", 15n], ["sp", 99n], ["bp", 2n ** 64n - 1n], ["flags", 0x401n], ["gs", 7n]]);
  const block = encodeRegisterBlock(values, xstate);
  const view = new DataView(block.buffer);
  const word = (offset: number) => view.getBigUint64(offset, true);
  assertEquals(BLOCK_REGISTERS.length, 16);
  assertEquals([word(0), word(32), word(120)], [15n, 2n ** 64n - 1n, 99n]);
  assertEquals([word(128), word(136), word(144)], [0x403n, 512n, 1n]);
  assertEquals([word(152), word(160), word(168), word(176)], [0n, 0x10007n, 0n, 0n]);
  assertEquals(block.subarray(512), xstate);
  assertEquals(encodeRegisterBlock(new Map()).length, 512);
  assertEquals(new DataView(encodeRegisterBlock(values, new Uint8Array(512)).buffer).getUint8(144), 0);
  for (const wrong of [["fs", 0x10000n], ["bp", 1n << 64n], ["bp", -1n]] as const) {
    assertThrows(() => encodeRegisterBlock(new Map([wrong])), RangeError, `${wrong[0]}: expected`);
  }
});
