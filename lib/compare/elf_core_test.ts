// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { ElfCoreError, parseElfCore } from "./elf_core.ts";
import { madeCore } from "./testing/made_core.ts";

const SEGMENTS = [
  { start: 0x7000n, bytes: Uint8Array.of(1, 2, 3), memory: 0x2000 },
  { start: 0x100n, bytes: Uint8Array.of(9, 9), type: 4 },
  { start: 0x4000n, bytes: Uint8Array.of(4) },
];

Deno.test("parseElfCore() gives the load segments of both word sizes by address, notes left out", () => {
  for (const bits of [32, 64] as const) {
    const core = parseElfCore(madeCore(SEGMENTS, bits));
    assertEquals([core.bits, core.machine], [bits, bits === 64 ? 62 : 3]);
    assertEquals(core.segments.map(({ start, end, bytes }) => [start, end, [...bytes]]), [
      [0x4000n, 0x4001n, [4]],
      [0x7000n, 0x9000n, [1, 2, 3]],
    ]);
  }
});

Deno.test("parseElfCore() works within a larger buffer", () => {
  const core = madeCore(SEGMENTS);
  const buffer = new Uint8Array(core.length + 16);
  buffer.set(core, 8);
  assertEquals([...parseElfCore(buffer.subarray(8, 8 + core.length)).segments[0]!.bytes], [4]);
});

Deno.test("parseElfCore() names what is wrong with a file", () => {
  const good = madeCore(SEGMENTS);
  const changed = (change: (view: DataView) => void): Uint8Array => {
    const bytes = good.slice();
    change(new DataView(bytes.buffer));
    return bytes;
  };
  const cases: [Uint8Array, string][] = [
    [new Uint8Array(10), "expected an ELF header"],
    [good.subarray(0, 60), "expected a header of 64 bytes, found 60"],
    [changed((view) => view.setUint8(1, 0)), "expected an ELF header"],
    [changed((view) => view.setUint8(5, 2)), "little-endian"],
    [changed((view) => view.setUint16(16, 2, true)), "found type 2"],
    [changed((view) => view.setUint16(56, 0xffff, true)), "65535 program headers"],
    [changed((view) => view.setBigUint64(32, 1n << 40n, true)), "do not lie"],
    [changed((view) => view.setBigUint64(64 + 8, 1n << 40n, true)), "segment at 0x7000"],
    [changed((view) => view.setBigUint64(64 + 40, 2n, true)), "segment at 0x7000"],
  ];
  for (const [bytes, message] of cases) assertThrows(() => parseElfCore(bytes), ElfCoreError, message);
});
