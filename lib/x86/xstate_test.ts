// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { describeXstate } from "./xstate.ts";

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

function lineOf(bytes: Uint8Array, name: string, arch: "x86_64" | "i386" = "x86_64"): string | undefined {
  return describeXstate(bytes, arch).find((line) => line.startsWith(name));
}

Deno.test("describeXstate() prints the control words and what is not zero", () => {
  assertEquals(describeXstate(sample(832), "x86_64"), [
    "xsave: fcw 0x037f fsw 0x3800 ftw 0x80 fop 0x0000 fip 0x0 fdp 0x0",
    "mxcsr 0x00001f80 mask 0x0000ffff",
    "xstate_bv 0x7 (x87 SSE AVX)",
    "xcomp_bv 0x0",
    "st0 0x3fff8000000000000000 (1)",
    `ymm0 0x${"00".repeat(15)}33${"00".repeat(15)}11`,
    `ymm15 0x${"00".repeat(31)}22`,
  ]);
});

Deno.test("describeXstate() of a 32-bit program has 8 vector registers", () => {
  assertEquals([lineOf(sample(832), "ymm15"), lineOf(sample(832), "ymm15", "i386")], [
    `ymm15 0x${"00".repeat(31)}22`,
    undefined,
  ]);
});

Deno.test("describeXstate() knows the FXSAVE and FSAVE areas and refuses other lengths", () => {
  assertEquals([lineOf(sample(512), "fxsave"), lineOf(sample(512), "xmm15"), lineOf(sample(512), "xstate")], [
    "fxsave: fcw 0x037f fsw 0x3800 ftw 0x80 fop 0x0000 fip 0x0 fdp 0x0",
    `xmm15 0x${"00".repeat(15)}22`,
    undefined,
  ]);
  const fsave = new Uint8Array(112);
  fsave[0] = 0x7f;
  fsave.set([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f], 28 + 70);
  assertEquals(describeXstate(fsave, "i386"), [
    "fsave: fcw 0x007f fsw 0x0000 ftw 0x00 fop 0x0000 fip 0x0 fdp 0x0",
    "st7 0x3fff8000000000000000 (1)",
  ]);
  for (const length of [0, 111, 511, 513, 575]) {
    assertThrows(() => describeXstate(new Uint8Array(length), "i386"), RangeError, `found ${length}`);
  }
});

Deno.test("describeXstate() shows no ymm where the kernel has not enabled AVX", () => {
  const bytes = sample(832);
  bytes[464] = 3;
  assertEquals([lineOf(bytes, "ymm"), lineOf(bytes, "xmm0")], [undefined, `xmm0 0x${"00".repeat(15)}11`]);
});

Deno.test("describeXstate() names known components and numbers the others", () => {
  for (
    const [mask, words] of [
      [0x200n | 1n, "x87 PKRU"],
      [(1n << 63n) | 4n, "AVX bit 63"],
      [0n, "none"],
    ] as const
  ) {
    const bytes = sample(832);
    new DataView(bytes.buffer).setBigUint64(512, mask, true);
    assertEquals(lineOf(bytes, "xstate_bv"), `xstate_bv 0x${mask.toString(16)} (${words})`);
  }
});

Deno.test("describeXstate() gives the value of an x87 register as a double", () => {
  for (
    const [value, number] of [
      ["400f97e8800000000000", "77777"],
      ["c000c000000000000000", "-3"],
      ["7fff8000000000000000", "Infinity"],
      ["7fffc000000000000000", "NaN"],
      ["3bcd8000000000000000", String(2 ** -1074)],
    ] as const
  ) {
    const bytes = sample(832);
    bytes.set(Uint8Array.fromHex(value).reverse(), 32);
    assertEquals(lineOf(bytes, "st0"), `st0 0x${value} (${number})`);
  }
});
