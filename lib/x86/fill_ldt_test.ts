// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { encodeDescriptor } from "./descriptor.ts";
import { fillLdt, type FillLdtOptions } from "./fill_ldt.ts";
import { decodeUserDesc, type UserDesc, ZERO_USER_DESC } from "./user_desc.ts";

function filled(change: Partial<UserDesc>, options: FillLdtOptions): string {
  return encodeDescriptor(fillLdt({ ...ZERO_USER_DESC, ...change }, options)).toHex();
}

Deno.test("fillLdt() makes the bytes that a 6.1 kernel was seen to make", () => {
  const flat = { baseAddr: 0x1000, limit: 0xfffff, seg32bit: true, limitInPages: true };
  assertEquals(filled(flat, { dialect: "port" }), "ffff001000f3cf00");
  const old = { baseAddr: 0x2000, limit: 0x10, seg32bit: true, limitInPages: true, useable: true };
  assertEquals(filled(old, { dialect: "port", oldMode: true }), "1000002000f3c000");
});

Deno.test("fillLdt() makes the bytes that a 2.6.28 kernel was seen to make", () => {
  const flat = { baseAddr: 0x08048000, limit: 0xfffff, seg32bit: true, limitInPages: true, useable: true };
  assertEquals(filled(flat, { dialect: "v11", oldMode: true }), "ffff008004f2cf08");
  assertEquals(filled(flat, { dialect: "v11" }), "ffff008004f2df08");
});

Deno.test("fillLdt() is one formula of bits for every value of the flags", () => {
  for (let flags = 0; flags < 256; flags++) {
    const bytes = new Uint8Array(16).fill(0xff);
    new DataView(bytes.buffer).setUint32(4, 0x9abcdef0, true);
    new DataView(bytes.buffer).setUint32(8, 0xfff54321, true);
    new DataView(bytes.buffer).setUint32(12, flags, true);
    const bit = (number: number): number => (flags >> number) & 1;
    for (const dialect of ["port", "v11"] as const) {
      for (const oldMode of [false, true]) {
        const type = ((flags >> 1) & 3) << 2 | (bit(3) ^ 1) << 1 | Number(dialect === "port");
        const access = type | 0x70 | (bit(5) ^ 1) << 7;
        const high = 5 | (oldMode ? 0 : bit(6)) << 4 | bit(0) << 6 | bit(4) << 7;
        const expected = [0x21, 0x43, 0xf0, 0xde, 0xbc, access, high, 0x9a];
        const found = [...encodeDescriptor(fillLdt(decodeUserDesc(bytes), { dialect, oldMode }))];
        assertEquals(found, expected, `${dialect} ${oldMode} flags ${flags}`);
      }
    }
  }
});
