// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import {
  CPU_DEBUG_FIELDS,
  CPU_REGISTER_FIELDS,
  cpuFieldsOf,
  decodeUserRegs,
  describeEflags,
  describeSelector,
  USER_REGS,
  type UserRegister,
} from "./registers.ts";

Deno.test("USER_REGS has the size of the struct", () => {
  assertEquals(USER_REGS.x86_64.length * 8, 216);
  assertEquals(USER_REGS.i386.length * 4, 68);
  assertEquals(new Set(USER_REGS.x86_64).size, 27);
  assertEquals(new Set(USER_REGS.i386).size, 17);
});

Deno.test("CPU_REGISTER_FIELDS and CPU_DEBUG_FIELDS fill the CPU record up to its 32-bit words", () => {
  assertEquals((CPU_REGISTER_FIELDS.length + CPU_DEBUG_FIELDS.length) * 8, 264);
  assertEquals(CPU_REGISTER_FIELDS.indexOf("ip") * 8, 128);
  assertEquals(CPU_REGISTER_FIELDS.indexOf("gs") * 8, 192);
});

Deno.test("decodeUserRegs() reads words of the architecture's size", () => {
  const wide = new Uint8Array(216);
  new DataView(wide.buffer).setBigUint64(15 * 8, 0xffffffffffffffffn, true);
  assertEquals(decodeUserRegs(wide, "x86_64").get("orig_ax"), 0xffffffffffffffffn);
  const narrow = new Uint8Array(68);
  new DataView(narrow.buffer).setUint32(11 * 4, 0xffffffff, true);
  assertEquals(decodeUserRegs(narrow, "i386").get("orig_ax"), 0xffffffffn);
  assertThrows(() => decodeUserRegs(narrow, "x86_64"), RangeError, "expected 216 bytes, found 68");
});

Deno.test("cpuFieldsOf() cuts selectors to 16 bits and leaves the bases out", () => {
  const regs = new Map(
    USER_REGS.x86_64.map((name, index): [UserRegister, bigint] => [name, BigInt(index) << 20n]),
  );
  regs.set("gs", 0xabcd0063n);
  const fields = cpuFieldsOf(regs);
  assertEquals([...fields.keys()], [...CPU_REGISTER_FIELDS]);
  assertEquals(fields.get("gs"), 0x63n);
  assertEquals(fields.get("r8"), 9n << 20n);
});

Deno.test("cpuFieldsOf() gives r8 to r15 of i386 as zero and misses nothing else in silence", () => {
  const regs = new Map(USER_REGS.i386.map((name): [UserRegister, bigint] => [name, 0xfffffffan]));
  const fields = cpuFieldsOf(regs);
  assertEquals([fields.get("r15"), fields.get("bx"), fields.get("fs")], [0n, 0xfffffffan, 0xfffan]);
  regs.delete("ip");
  assertThrows(() => cpuFieldsOf(regs), RangeError, "value of ip");
});

Deno.test("describeEflags() names the flags", () => {
  assertEquals(describeEflags(0x286n), "PF SF IF");
  assertEquals(describeEflags(0x43402n), "DF AC IOPL=3");
  assertEquals(describeEflags(0x2n), "none");
  assertEquals(describeEflags(0x80000000n), "0x80000000");
});

Deno.test("describeSelector() splits a selector", () => {
  assertEquals(describeSelector(0x7), "0x0007 (LDT 0, RPL 3)");
  assertEquals(describeSelector(0x63), "0x0063 (GDT 12, RPL 3)");
  assertEquals(describeSelector(3), "0x0003 (null)");
});
