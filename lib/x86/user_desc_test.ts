// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import {
  decodeUserDesc,
  describeUserDesc,
  EMPTY_USER_DESC,
  encodeUserDesc,
  isLdtEmpty,
  isLdtZero,
  type UserDesc,
  ZERO_USER_DESC,
} from "./user_desc.ts";

/** Each field that LDT_empty and LDT_zero look at, changed away from zero. */
const CHANGES: readonly Partial<UserDesc>[] = [
  { baseAddr: 1 },
  { baseAddr: 0x80000000 },
  { limit: 1 },
  { limit: 0x80000000 },
  { contents: 1 },
  { contents: 2 },
  { seg32bit: true },
  { limitInPages: true },
  { useable: true },
];

Deno.test("encodeUserDesc() and decodeUserDesc() return each of the 128 single-bit values", () => {
  const seen = new Set<string>();
  for (let bit = 0; bit < 128; bit++) {
    const bytes = new Uint8Array(16);
    bytes[bit >> 3] = 1 << (bit & 7);
    const info = decodeUserDesc(bytes);
    assertEquals(encodeUserDesc(info), bytes, `bit ${bit}`);
    seen.add(JSON.stringify(info));
  }
  assertEquals(seen.size, 128);
});

Deno.test("encodeUserDesc() puts the bitfields where gcc puts them", () => {
  const info: UserDesc = { ...ZERO_USER_DESC, entryNumber: 1, baseAddr: 0x12345678, limit: 0xfffff };
  const flags = (change: Partial<UserDesc>): number => encodeUserDesc({ ...info, ...change })[12] ?? -1;
  assertEquals(encodeUserDesc(info).toHex(), "0100000078563412ffff0f0000000000");
  assertEquals(flags({ seg32bit: true }), 1);
  assertEquals(flags({ contents: 3 }), 6);
  assertEquals(flags({ readExecOnly: true }), 8);
  assertEquals(flags({ limitInPages: true }), 16);
  assertEquals(flags({ segNotPresent: true }), 32);
  assertEquals(flags({ useable: true }), 64);
  assertEquals(flags({ lm: true }), 128);
});

Deno.test("encodeUserDesc() and decodeUserDesc() refuse what does not fit", () => {
  assertThrows(() => encodeUserDesc({ ...ZERO_USER_DESC, contents: 4 }), RangeError, "contents");
  assertThrows(() => encodeUserDesc({ ...ZERO_USER_DESC, entryNumber: -1 }), RangeError, "entryNumber");
  assertThrows(() => encodeUserDesc({ ...ZERO_USER_DESC, padding: 1 << 24 }), RangeError, "padding");
  assertThrows(() => decodeUserDesc(new Uint8Array(15)), RangeError, "16 bytes, found 15");
});

Deno.test("isLdtEmpty() is true for read-only, not present and nothing else", () => {
  assertEquals(isLdtEmpty(EMPTY_USER_DESC), true);
  assertEquals(isLdtEmpty({ ...EMPTY_USER_DESC, entryNumber: 8191, lm: true, padding: 1 }), true);
  for (const change of [...CHANGES, { readExecOnly: false }, { segNotPresent: false }]) {
    assertEquals(isLdtEmpty({ ...EMPTY_USER_DESC, ...change }), false, JSON.stringify(change));
  }
});

Deno.test("isLdtZero() is true for all zero but the entry number", () => {
  assertEquals(isLdtZero(ZERO_USER_DESC), true);
  assertEquals(isLdtZero({ ...ZERO_USER_DESC, entryNumber: 8191, lm: true, padding: 1 }), true);
  for (const change of [...CHANGES, { readExecOnly: true }, { segNotPresent: true }]) {
    assertEquals(isLdtZero({ ...ZERO_USER_DESC, ...change }), false, JSON.stringify(change));
  }
});

Deno.test("describeUserDesc() names what is set", () => {
  assertEquals(
    describeUserDesc({ ...EMPTY_USER_DESC, entryNumber: 7, limit: 0xfff, lm: true, padding: 0x10 }),
    "entry 7 base 0x0 limit 0xfff contents 0 read_exec_only seg_not_present lm padding 0x10",
  );
});
