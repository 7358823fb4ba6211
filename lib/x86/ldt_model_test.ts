// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { LdtModel, type LdtModelOptions } from "./ldt_model.ts";
import { EMPTY_USER_DESC, encodeUserDesc, type UserDesc, ZERO_USER_DESC } from "./user_desc.ts";

const PORT: LdtModelOptions = { dialect: "port", wordSize: 8 };
const V11: LdtModelOptions = { dialect: "v11", wordSize: 4 };
const FLAT: Partial<UserDesc> = { baseAddr: 0x1000, limit: 0xfffff, seg32bit: true, limitInPages: true };

function write(model: LdtModel, change: Partial<UserDesc>, func = 0x11): number {
  return model.modifyLdt(func, encodeUserDesc({ ...ZERO_USER_DESC, ...change }), 16n).errno;
}

function bytesOf(model: LdtModel, index: number): string {
  return model.entries().subarray(index * 8, index * 8 + 8).toHex();
}

Deno.test("LdtModel keeps the entries that an image of a 6.1 kernel was seen to have", () => {
  const model = new LdtModel(PORT);
  assertEquals(write(model, FLAT), 0);
  const old = { entryNumber: 100, baseAddr: 0x2000, limit: 0x10, seg32bit: true, limitInPages: true };
  assertEquals(write(model, { ...old, useable: true }, 1), 0);
  assertEquals(write(model, { ...EMPTY_USER_DESC, entryNumber: 200 }), 0);
  assertEquals(model.nrEntries, 201);
  assertEquals(bytesOf(model, 0), "ffff001000f3cf00");
  assertEquals(bytesOf(model, 100), "1000002000f3c000");
  assertEquals(bytesOf(model, 200), "0000000000000000");
  assertEquals(model.modifyLdt(0, new Uint8Array(2048), 2048n).result, 2048n);
});

Deno.test("LdtModel grows to the highest entry ever set plus one and never shrinks", () => {
  const model = new LdtModel(PORT);
  const sizes = [5, 3, 8191, 0].map((entryNumber) => {
    write(model, { ...FLAT, entryNumber });
    return model.nrEntries;
  });
  assertEquals(sizes, [6, 6, 8192, 8192]);
});

Deno.test("LdtModel of v11 grows by 512 entries", () => {
  const sizes = [0, 511, 512, 8191].map((entryNumber) => {
    const model = new LdtModel(V11);
    write(model, { ...EMPTY_USER_DESC, entryNumber });
    return model.nrEntries;
  });
  assertEquals(sizes, [512, 512, 1024, 8192]);
});

Deno.test("LdtModel refuses a write with the error of the first check that fails", () => {
  const good = encodeUserDesc({ ...ZERO_USER_DESC, ...FLAT });
  const model = new LdtModel(PORT);
  for (const func of [1, 0x11]) {
    for (const count of [0n, 1n, 15n, 17n, 0x100000010n, -1n]) {
      assertEquals(model.modifyLdt(func, good, count).errno, 22, `count ${count}`);
      assertEquals(model.modifyLdt(func, "fault", count).errno, 22, `count ${count} before the fault`);
    }
    assertEquals(model.modifyLdt(func, "fault", 16n).errno, 14);
    assertEquals(model.modifyLdt(func, good.subarray(0, 15), 16n).errno, 14);
    for (const entryNumber of [8192, 0x7fffffff, 0x80000000, 0xffffffff]) {
      assertEquals(write(model, { ...FLAT, entryNumber }, func), 22, `entry ${entryNumber}`);
    }
    assertEquals(write(model, { ...FLAT, contents: 3 }, func), 22);
  }
  assertEquals(write(model, { ...FLAT, contents: 3, segNotPresent: true }, 1), 22);
  assertEquals(model.nrEntries, 0, "a refusal changes nothing");
  assertEquals(write(model, { ...FLAT, contents: 3, segNotPresent: true }), 0);
});

Deno.test("LdtModel takes 16-bit segments", () => {
  assertEquals(write(new LdtModel(PORT), { ...FLAT, seg32bit: false }), 0);
  assertEquals(write(new LdtModel(V11), { ...FLAT, seg32bit: false }), 0);
});

Deno.test("LdtModel clears by function 0x11 for LDT_empty alone, by function 1 for base and limit 0", () => {
  const cleared = (func: number, change: Partial<UserDesc>, options = PORT): boolean => {
    const model = new LdtModel(options);
    assertEquals(write(model, FLAT), 0);
    assertEquals(write(model, change, func), 0);
    return bytesOf(model, 0) === "0000000000000000";
  };
  const nearMisses: Partial<UserDesc>[] = [
    { readExecOnly: false },
    { segNotPresent: false },
    { seg32bit: true },
    { limitInPages: true },
    { useable: true },
    { contents: 1 },
  ];
  assertEquals(cleared(0x11, EMPTY_USER_DESC), true);
  for (const miss of nearMisses) {
    assertEquals(cleared(0x11, { ...EMPTY_USER_DESC, ...miss }), false, JSON.stringify(miss));
    assertEquals(cleared(1, { ...EMPTY_USER_DESC, ...miss }), true, JSON.stringify(miss));
  }
  for (const miss of [{ baseAddr: 1 }, { limit: 1 }, { limit: 0x100000 }]) {
    assertEquals(cleared(1, { ...EMPTY_USER_DESC, ...miss }), false, JSON.stringify(miss));
  }
  assertEquals(cleared(0x11, { ...EMPTY_USER_DESC, lm: true }), true);
  assertEquals(cleared(0x11, { ...EMPTY_USER_DESC, lm: true }, V11), true);
  assertEquals(cleared(0x11, { ...EMPTY_USER_DESC, lm: true }, { ...V11, wordSize: 8 }), false);
});

Deno.test("LdtModel drops the AVL bit in old mode", () => {
  const model = new LdtModel(PORT);
  write(model, { ...FLAT, useable: true });
  write(model, { ...FLAT, entryNumber: 1, useable: true }, 1);
  assertEquals([model.entry(0).avl, model.entry(1).avl], [true, false]);
});

Deno.test("LdtModel reads nothing without an LDT, and zeros to the end of the buffer with one", () => {
  const model = new LdtModel(PORT);
  assertEquals(model.modifyLdt(0, "fault", 64n), { result: 0n, errno: 0, data: new Uint8Array(0) });
  write(model, FLAT);
  const read = model.modifyLdt(0, new Uint8Array(64), 20n);
  assertEquals([read.result, read.data?.toHex()], [20n, "ffff001000f3cf00" + "00".repeat(12)]);
  assertEquals(model.modifyLdt(0, new Uint8Array(64), 3n).data?.toHex(), "ffff00");
  for (const count of [65536n, 65537n, -1n]) {
    const all = model.modifyLdt(0, new Uint8Array(65536), count);
    assertEquals([all.result, all.data?.length], [65536n, 65536]);
  }
  assertEquals(model.modifyLdt(0, "fault", 1n).errno, 14);
  assertEquals(model.modifyLdt(0, new Uint8Array(19), 20n).errno, 14);
  assertEquals(model.modifyLdt(0, "fault", 0n).result, 0n);
});

Deno.test("LdtModel reads a default LDT of zeros, 128 bytes on x86-64 and 40 on i386", () => {
  const read = (wordSize: 4 | 8, count: bigint): bigint =>
    new LdtModel({ ...PORT, wordSize }).modifyLdt(2, new Uint8Array(256), count).result;
  assertEquals([read(8, 256n), read(8, 127n), read(4, 256n), read(4, 39n)], [128n, 127n, 40n, 39n]);
  const model = new LdtModel(PORT);
  write(model, FLAT);
  assertEquals(model.modifyLdt(2, new Uint8Array(8), 8n).data, new Uint8Array(8));
  assertEquals(model.modifyLdt(2, "fault", 8n).errno, 14);
  assertEquals(model.modifyLdt(2, "fault", 0n).result, 0n);
});

Deno.test("LdtModel knows no other function, and takes the low 32 bits of the number", () => {
  const model = new LdtModel(PORT);
  for (const func of [3, 4, 0x10, 0x12, 0x21, -1]) {
    assertEquals(model.modifyLdt(func, "fault", 16n).errno, 38, `func ${func}`);
  }
  assertEquals(model.modifyLdt(0x100000011n, "fault", 16n).errno, 14);
});

Deno.test("LdtModel returns errors as the result register holds them", () => {
  const result = (options: LdtModelOptions): bigint => new LdtModel(options).modifyLdt(3, "fault", 0n).result;
  assertEquals(result(PORT), 0xffffffdan);
  assertEquals(result({ ...PORT, compat: true }), -38n);
  assertEquals(result({ ...PORT, wordSize: 4 }), -38n);
});

Deno.test("LdtModel takes 32 bits of the byte count of a 32-bit program", () => {
  const good = encodeUserDesc({ ...ZERO_USER_DESC, ...FLAT });
  assertEquals(new LdtModel({ ...PORT, compat: true }).modifyLdt(0x11, good, 0x100000010n).errno, 0);
  assertEquals(new LdtModel(V11).modifyLdt(0x11, good, 0x100000010n).errno, 0);
  assertEquals(new LdtModel(PORT).modifyLdt(0x11, good, 0x100000010n).errno, 22);
});

Deno.test("LdtModel.fork() copies, and neither side sees the other's later calls", () => {
  const parent = new LdtModel(PORT);
  write(parent, FLAT);
  const child = parent.fork();
  assertEquals(child.entries(), parent.entries());
  write(child, { ...FLAT, baseAddr: 0x2000 });
  write(parent, { ...FLAT, entryNumber: 3 });
  assertEquals([parent.nrEntries, child.nrEntries], [4, 1]);
  assertEquals([parent.entry(0).base, child.entry(0).base], [0x1000, 0x2000]);
});

Deno.test("LdtModel.exec() drops the LDT in 6.1 and keeps it in 2.6.28", () => {
  for (const [options, entries] of [[PORT, 0], [V11, 512]] as const) {
    const model = new LdtModel(options);
    write(model, FLAT);
    const after = model.exec();
    assertEquals(after.nrEntries, entries);
    write(after, { ...FLAT, baseAddr: 0x2000 });
    assertEquals(model.entry(0).base, 0x1000, "the caller's table stays as it was");
  }
});

Deno.test("LdtModel.selectorLoaded() sets the accessed bit once, where the load succeeds", () => {
  const model = new LdtModel(V11);
  write(model, FLAT);
  write(model, { ...FLAT, entryNumber: 1, segNotPresent: true });
  write(model, { ...FLAT, entryNumber: 2, contents: 2, readExecOnly: true });
  const before = model.entries();
  for (const selector of [0x03, 0x17, 0x0f, 0x1f, 0xffff]) {
    assertEquals(model.selectorLoaded(selector), false, selector.toString(16));
  }
  assertEquals(model.entries(), before);
  assertEquals(model.selectorLoaded(0x07), true);
  assertEquals(bytesOf(model, 0), "ffff001000f3cf00");
  assertEquals(model.selectorLoaded(0x07), false);
  // Execute-only code cannot be loaded into %fs, but run.
  assertEquals(model.selectorLoaded(0x17, "cs"), true);
});

Deno.test("LdtModel.selectorLoaded() never changes a table of 6.1", () => {
  const model = new LdtModel(PORT);
  write(model, FLAT);
  assertEquals(model.selectorLoaded(0x07), false);
});

Deno.test("LdtModel.entries() is a copy", () => {
  const model = new LdtModel(PORT);
  write(model, FLAT);
  model.entries().fill(0);
  assertEquals(bytesOf(model, 0), "ffff001000f3cf00");
});

Deno.test("LdtModel.entry() refuses an index beyond the table", () => {
  const model = new LdtModel(PORT);
  write(model, FLAT);
  assertThrows(() => model.entry(1), RangeError, "0 to below 1, found 1");
  assertThrows(() => model.entry(-1), RangeError);
});
