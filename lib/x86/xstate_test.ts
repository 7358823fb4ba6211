// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { decodeXstate, describeComponents, describeXstate, x87ToNumber } from "./xstate.ts";

/** An XSAVE state with a few values at the offsets of the processor manual. */
function sample(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x037f, true);
  view.setUint16(2, 0x3800, true);
  bytes[4] = 0x80;
  view.setUint32(24, 0x1f80, true);
  view.setUint32(28, 0xffff, true);
  // 1.0 in st0.
  bytes.set([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f], 32);
  bytes[160] = 0x11;
  bytes[160 + 15 * 16] = 0x22;
  if (length > 512) {
    view.setBigUint64(464, 7n, true);
    view.setBigUint64(512, 7n, true);
  }
  if (length > 576) bytes[576] = 0x33;
  return bytes;
}

Deno.test("decodeXstate() finds each field of an XSAVE state", () => {
  const state = decodeXstate(sample(832), "x86_64");
  assertEquals([state.kind, state.fcw, state.fsw, state.ftw], ["xsave", 0x37f, 0x3800, 0x80]);
  assertEquals([state.mxcsr, state.mxcsrMask, state.xstateBv, state.xcompBv], [0x1f80, 0xffff, 7n, 0n]);
  assertEquals([state.st[0], state.xmm[0], state.xmm[15]], [0x3fff8000000000000000n, 0x11n, 0x22n]);
  assertEquals([state.ymm?.[0], state.ymm?.[15], state.enabledComponents], [
    (0x33n << 128n) | 0x11n,
    0x22n,
    7n,
  ]);
});

Deno.test("decodeXstate() of a 32-bit program has 8 vector registers", () => {
  const state = decodeXstate(sample(832), "i386");
  assertEquals([state.xmm.length, state.ymm?.length], [8, 8]);
});

Deno.test("decodeXstate() knows the FXSAVE and FSAVE areas and refuses other lengths", () => {
  const fxsave = decodeXstate(sample(512), "x86_64");
  assertEquals([fxsave.kind, fxsave.ymm, fxsave.xstateBv], ["fxsave", undefined, undefined]);
  const fsave = new Uint8Array(112);
  fsave[0] = 0x7f;
  fsave.set([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f], 28 + 70);
  const state = decodeXstate(fsave, "i386");
  assertEquals([state.kind, state.fcw, state.xmm.length, state.mxcsr], ["fsave", 0x7f, 0, undefined]);
  assertEquals(state.st[7], 0x3fff8000000000000000n);
  for (const length of [0, 111, 511, 513, 575]) {
    assertThrows(() => decodeXstate(new Uint8Array(length), "i386"), RangeError, `found ${length}`);
  }
});

Deno.test("decodeXstate() shows no ymm where the kernel has not enabled AVX", () => {
  const bytes = sample(832);
  bytes[464] = 3;
  assertEquals(decodeXstate(bytes, "x86_64").ymm, undefined);
});

Deno.test("describeXstate() prints the control words and what is not zero", () => {
  assertEquals(describeXstate(decodeXstate(sample(832), "x86_64")), [
    "xsave: fcw 0x037f fsw 0x3800 ftw 0x80 fop 0x0000 fip 0x0 fdp 0x0",
    "mxcsr 0x00001f80 mask 0x0000ffff",
    "xstate_bv 0x7 (x87 SSE AVX)",
    "xcomp_bv 0x0",
    "st0 0x3fff8000000000000000 (1)",
    `ymm0 0x${"00".repeat(15)}33${"00".repeat(15)}11`,
    `ymm15 0x${"00".repeat(31)}22`,
  ]);
});

Deno.test("describeComponents() names known bits and numbers the others", () => {
  assertEquals(describeComponents(0x200n | 1n), "x87 PKRU");
  assertEquals(describeComponents((1n << 63n) | 4n), "AVX bit 63");
  assertEquals(describeComponents(0n), "none");
});

Deno.test("x87ToNumber() gives the value as a double", () => {
  assertEquals(x87ToNumber(0x400f97e8800000000000n), 77777);
  assertEquals(x87ToNumber(0xc000c000000000000000n), -3);
  assertEquals(x87ToNumber(0x7fff8000000000000000n), Infinity);
  assertEquals(x87ToNumber(0x7fffc000000000000000n), NaN);
  assertEquals(x87ToNumber(0n), 0);
  assertEquals(x87ToNumber(0x3bcd8000000000000000n), 2 ** -1074);
});
