// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { ERRNO } from "../abi/errno.ts";
import { DebugRegisters, DR6_AT_REST } from "./debug_registers.ts";

const REST = [0n, 0n, 0n, 0n, 0n, 0n, DR6_AT_REST, 0n];

Deno.test("DebugRegisters keeps what a tracer sets, and shows DR6 at rest with its fixed bits", () => {
  const debug = new DebugRegisters(8);
  assertEquals(debug.words(), REST);
  assertEquals([debug.set(2, 0x1234n), debug.set(6, 0xffff4ff0n), debug.set(7, 0x20n)], [0, 0, 0]);
  assertEquals(debug.words(), [0n, 0n, 0x1234n, 0n, 0n, 0n, 0xffff4ff0n, 0x20n]);
  assertEquals(debug.fork().words(), [0n, 0n, 0n, 0n, 0n, 0n, 0xffff4ff0n, 0x20n]);
  assertEquals(debug.exec().words(), REST);
});

Deno.test("DebugRegisters refuses what the kernel refuses, and nothing changes then", () => {
  const wide = new DebugRegisters(8);
  const narrow = new DebugRegisters(4);
  const { EINVAL, EIO } = ERRNO;
  assertEquals([wide.set(4, 0n), wide.set(5, 0n)], [EIO, EIO]);
  assertEquals([wide.set(0, 0x7ffffffff000n), wide.set(0, 0x7fffffffefffn)], [EINVAL, 0]);
  assertEquals([narrow.set(0, 0xc0000000n), narrow.set(0, 0xbfffffffn)], [EINVAL, 0]);
  const dr7 = (type: number, length: number): bigint => BigInt(length << 2 | type) << 16n | 1n;
  // I/O; execution of more than a byte; four bytes in an odd place; 8 bytes in a 32-bit kernel.
  const refused = [wide.set(7, dr7(2, 0)), wide.set(7, dr7(0, 1)), wide.set(7, dr7(1, 3))];
  assertEquals(refused, [EINVAL, EINVAL, EINVAL]);
  assertEquals(wide.words(), [0x7fffffffefffn, ...REST.slice(1)]);
  assertEquals([narrow.set(0, 0x18n), narrow.set(7, dr7(1, 2)), narrow.set(7, dr7(3, 3))], [0, EINVAL, 0]);
  // The slot keeps its length: the address must go with it.
  assertEquals([narrow.set(0, 0x1an), narrow.set(0, 0x1cn)], [EINVAL, 0]);
});
