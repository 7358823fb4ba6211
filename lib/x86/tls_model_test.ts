// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { TlsModel, type TlsModelOptions, type TlsResult } from "./tls_model.ts";
import {
  decodeUserDesc,
  EMPTY_USER_DESC,
  encodeUserDesc,
  type UserDesc,
  ZERO_USER_DESC,
} from "./user_desc.ts";

const I386: TlsModelOptions = { firstSlot: 6, wordSize: 4 };
const X86_64: TlsModelOptions = { firstSlot: 12, wordSize: 8 };
const V11: TlsModelOptions = { ...I386, dialect: "v11" };
const ANY = 0xffffffff;
const GOOD: UserDesc = {
  ...ZERO_USER_DESC,
  baseAddr: 0x1000,
  limit: 0xfffff,
  seg32bit: true,
  limitInPages: true,
};

function set(model: TlsModel, change: Partial<UserDesc>): TlsResult {
  return model.setThreadArea(encodeUserDesc({ ...GOOD, ...change }));
}

Deno.test("TlsModel.setThreadArea() allocates the first empty slot and writes its number back", () => {
  for (const [options, first] of [[I386, 6], [X86_64, 12]] as const) {
    const model = new TlsModel(options);
    const numbers = [0, 1, 2].map(() => {
      const { userDesc } = set(model, { entryNumber: ANY });
      return userDesc && decodeUserDesc(userDesc);
    });
    assertEquals(numbers, [0, 1, 2].map((index) => ({ ...GOOD, entryNumber: first + index })));
    assertEquals(set(model, { entryNumber: ANY }), { result: -3n, errno: 3 });
    assertEquals(model.ntls, 3);
  }
});

Deno.test("TlsModel.setThreadArea() reuses a slot that was cleared", () => {
  const model = new TlsModel(I386);
  for (let count = 0; count < 3; count++) set(model, { entryNumber: ANY });
  assertEquals(model.setThreadArea(encodeUserDesc({ ...EMPTY_USER_DESC, entryNumber: 7 })).errno, 0);
  assertEquals(model.array().toHex(), "ffff001000f3cf00" + "00".repeat(8) + "ffff001000f3cf00");
  assertEquals(model.ntls, 2);
  assertEquals(set(model, { entryNumber: ANY }).userDesc?.[0], 7);
});

Deno.test("TlsModel.setThreadArea() finds a slot for an empty user_desc and leaves it empty", () => {
  const model = new TlsModel(I386);
  const result = model.setThreadArea(encodeUserDesc({ ...EMPTY_USER_DESC, entryNumber: ANY }));
  assertEquals([result.errno, result.userDesc?.[0], model.ntls], [0, 6, 0]);
});

Deno.test("TlsModel.setThreadArea() refuses slots that are not for TLS", () => {
  for (const entryNumber of [5, 9, 12, 0, 0xfffffffe, 0x7fffffff]) {
    assertEquals(set(new TlsModel(I386), { entryNumber }), { result: -22n, errno: 22 }, `${entryNumber}`);
  }
  for (const entryNumber of [11, 15, 6]) {
    assertEquals(set(new TlsModel(X86_64), { entryNumber }).errno, 22);
  }
});

Deno.test("TlsModel.setThreadArea() accepts 32-bit present data only, or a request to clear", () => {
  const refused: Partial<UserDesc>[] = [
    { seg32bit: false },
    { contents: 2 },
    { contents: 3 },
    { segNotPresent: true },
  ];
  for (const change of refused) {
    const model = new TlsModel(I386);
    assertEquals(set(model, { ...change, entryNumber: ANY }).errno, 22, JSON.stringify(change));
    assertEquals(set(model, { ...change, entryNumber: 0 }).errno, 22);
    assertEquals(model.ntls, 0);
    // 2.6.28 did not look.
    assertEquals(set(new TlsModel(V11), { ...change, entryNumber: 6 }).errno, 0, JSON.stringify(change));
  }
  for (const change of [{ contents: 1 }, { readExecOnly: true }, { useable: true }]) {
    assertEquals(set(new TlsModel(I386), { ...change, entryNumber: 6 }).errno, 0, JSON.stringify(change));
  }
});

Deno.test("TlsModel clears for LDT_empty and LDT_zero, in 2.6.28 for LDT_empty alone", () => {
  const after = (options: TlsModelOptions, info: UserDesc): number => {
    const model = new TlsModel(options);
    set(model, { entryNumber: 6 });
    assertEquals(model.setThreadArea(encodeUserDesc({ ...info, entryNumber: 6 })).errno, 0);
    return model.ntls;
  };
  assertEquals([after(I386, EMPTY_USER_DESC), after(I386, ZERO_USER_DESC)], [0, 0]);
  assertEquals([after(V11, EMPTY_USER_DESC), after(V11, ZERO_USER_DESC)], [0, 1]);
});

Deno.test("TlsModel.setThreadArea() fails on bad memory, and where no slot is free", () => {
  const model = new TlsModel(I386);
  assertEquals(model.setThreadArea("fault").errno, 14);
  for (let count = 0; count < 3; count++) set(model, { entryNumber: ANY });
  assertEquals(set(model, { entryNumber: ANY }).errno, 3);
});

Deno.test("TlsModel.getThreadArea() gives back what was set, and an empty slot as LDT_empty", () => {
  const model = new TlsModel(X86_64);
  const info = { ...GOOD, entryNumber: 13, baseAddr: 0xfedcba98, contents: 1, useable: true };
  set(model, { ...info, lm: true, padding: 7, limit: 0xfffabcde });
  const get = (entryNumber: number): TlsResult =>
    model.getThreadArea(encodeUserDesc({ ...ZERO_USER_DESC, entryNumber }));
  assertEquals(get(13).userDesc, encodeUserDesc({ ...info, limit: 0xabcde }));
  assertEquals(get(12).userDesc, encodeUserDesc({ ...EMPTY_USER_DESC, entryNumber: 12 }));
  assertEquals([11, 15, ANY].map((number) => get(number).errno), [22, 22, 22]);
});

Deno.test("TlsModel.getThreadArea() looks at the number before it writes", () => {
  const model = new TlsModel(I386);
  const at = (entryNumber: number): Uint8Array => encodeUserDesc({ ...ZERO_USER_DESC, entryNumber });
  assertEquals(model.getThreadArea("fault").errno, 14);
  assertEquals(model.getThreadArea(at(5).subarray(0, 4)).errno, 22);
  assertEquals(model.getThreadArea(at(6).subarray(0, 4)).errno, 14);
});

Deno.test("TlsModel.fork() copies and exec() starts empty", () => {
  const parent = new TlsModel(I386);
  set(parent, { entryNumber: 6 });
  const child = parent.fork();
  set(child, { entryNumber: 7 });
  assertEquals([parent.ntls, child.ntls, child.exec().ntls], [1, 2, 0]);
  assertEquals(new TlsModel(V11).exec().ntls, 0);
});

Deno.test("TlsModel makes the arrays that a 2.6.28 kernel was seen to make", () => {
  const model = new TlsModel(V11);
  set(model, { entryNumber: ANY, baseAddr: 0xfedcba98, limit: 0xabcde, useable: true });
  const second = { contents: 1, readExecOnly: true, limitInPages: false };
  set(model, { entryNumber: ANY, baseAddr: 0x12345678, limit: 0xffff, ...second });
  const third = { limitInPages: false, segNotPresent: true, useable: true };
  set(model, { entryNumber: ANY, baseAddr: 0x00c0ffee, limit: 1, ...third });
  assertEquals(model.array().toHex(), "debc98badcf2dafeffff785634f440120100eeffc0725000");
});

Deno.test("TlsModel.slot() refuses other slots", () => {
  const model = new TlsModel(X86_64);
  assertThrows(() => model.slot(6), RangeError, "12 to 14, found 6");
});
