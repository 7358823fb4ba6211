// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { abiOf, pagesPerChunk, stackTop } from "./arch.ts";

Deno.test("pagesPerChunk() is four pages of addresses", () => {
  assertEquals([pagesPerChunk(8), pagesPerChunk(4)], [2048, 4096]);
});

Deno.test("abiOf() places TLS where the GDT has it", () => {
  assertEquals([abiOf("x86_64").firstTlsSlot, abiOf("i386-pae").firstTlsSlot], [12, 6]);
});

Deno.test("stackTop() differs for a 32-bit program on an x86-64 kernel", () => {
  assertEquals([stackTop("x86_64", "x86_64"), stackTop("x86_64", "i386"), stackTop("i386", "i386")], [
    0x7fff_ffff_f000n,
    0xffff_e000n,
    0xc000_0000n,
  ]);
});
