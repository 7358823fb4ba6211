// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { ExpectedError } from "../../vm/host/errors.ts";
import { readCore } from "./gcore.ts";

/** A segment of a made core file. */
interface MadeSegment {
  readonly start: bigint;
  readonly bytes: Uint8Array;
  /** Bytes of memory; those of the file when left out. */
  readonly memory?: number;
  /** PT_LOAD when left out. */
  readonly type?: number;
}

/** An ELF core file for tests: headers, program headers, then the segments' bytes. */
function madeCore(segments: readonly MadeSegment[], bits: 32 | 64 = 64): Uint8Array<ArrayBuffer> {
  const [headerSize, entrySize] = bits === 64 ? [64, 56] : [52, 32];
  const contents = segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const file = new Uint8Array(headerSize + segments.length * entrySize + contents);
  const view = new DataView(file.buffer);
  const word = (at: number, value: bigint): void =>
    bits === 64 ? view.setBigUint64(at, value, true) : view.setUint32(at, Number(value), true);
  file.set([0x7f, 0x45, 0x4c, 0x46, bits / 32, 1, 1]);
  view.setUint16(16, 4, true);
  view.setUint16(18, bits === 64 ? 62 : 3, true);
  word(bits === 64 ? 32 : 28, BigInt(headerSize));
  view.setUint16(bits === 64 ? 54 : 42, entrySize, true);
  view.setUint16(bits === 64 ? 56 : 44, segments.length, true);
  let offset = headerSize + segments.length * entrySize;
  segments.forEach(({ start, bytes, memory = bytes.length, type = 1 }, i) => {
    const at = headerSize + i * entrySize;
    view.setUint32(at, type, true);
    const [offsetAt, addressAt, fileAt, memoryAt] = bits === 64 ? [8, 16, 32, 40] : [4, 8, 16, 20];
    word(at + offsetAt, BigInt(offset));
    word(at + addressAt, start);
    word(at + fileAt, BigInt(bytes.length));
    word(at + memoryAt, BigInt(memory));
    file.set(bytes, offset);
    offset += bytes.length;
  });
  return file;
}

const SEGMENTS = [
  { start: 0x7000n, bytes: Uint8Array.of(1, 2, 3), memory: 0x2000 },
  { start: 0x100n, bytes: Uint8Array.of(9, 9), type: 4 },
  { start: 0x4000n, bytes: Uint8Array.of(4) },
];

Deno.test("readCore() gives the load segments of both word sizes, notes left out", () => {
  for (const bits of [32, 64] as const) {
    const segments = readCore(madeCore(SEGMENTS, bits));
    assertEquals(segments.map(({ address, bytes }) => [address, [...bytes]]), [
      [0x7000n, [1, 2, 3]],
      [0x4000n, [4]],
    ]);
  }
});

Deno.test("readCore() works within a larger buffer", () => {
  const core = madeCore(SEGMENTS);
  const buffer = new Uint8Array(core.length + 16);
  buffer.set(core, 8);
  assertEquals([...readCore(buffer.subarray(8, 8 + core.length))[1]!.bytes], [4]);
});

Deno.test("readCore() refuses what is no core file, or not a whole one", () => {
  const good = madeCore(SEGMENTS);
  const changed = (change: (view: DataView) => void): Uint8Array => {
    const bytes = good.slice();
    change(new DataView(bytes.buffer));
    return bytes;
  };
  const cases: [Uint8Array, string][] = [
    [new Uint8Array(10), "not an ELF file"],
    [good.subarray(0, 60), "cut short"],
    [changed((view) => view.setUint8(1, 0)), "not an ELF file"],
    [changed((view) => view.setUint8(5, 2)), "little-endian"],
    [changed((view) => view.setUint16(16, 2, true)), "found type 2"],
    [changed((view) => view.setUint16(54, 8, true)), "damaged"],
    [changed((view) => view.setUint16(56, 0xffff, true)), "damaged"],
    [changed((view) => view.setBigUint64(32, 1n << 40n, true)), "damaged"],
    [changed((view) => view.setBigUint64(64 + 8, 1n << 40n, true)), "damaged"],
    [changed((view) => view.setBigUint64(64 + 40, 2n, true)), "damaged"],
  ];
  for (const [bytes, message] of cases) assertThrows(() => readCore(bytes), ExpectedError, message);
});
