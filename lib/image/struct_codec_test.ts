// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { PIDS, RECORD_HEADER, ROWS } from "./structs.ts";
import { isStruct, type RecordDesc, RECORDS } from "./records.ts";
import { displayText, rawText, readStruct, struct, writeStruct } from "./struct_codec.ts";
import type { FieldRow, StructDesc } from "./struct_desc.ts";
import { dataView } from "../bytes.ts";

const MM = struct("cr_hdr_mm", 96, ROWS.MM);

/** What is wrong with a table, or nothing. */
function tableFaults(desc: StructDesc): string[] {
  const faults: string[] = [];
  for (const { name, type, offset, size } of desc.fields) {
    if (!type.startsWith("char") && offset % size !== 0) faults.push(`${desc.cName}.${name}: not aligned`);
  }
  if (desc.size % 8 !== 0) faults.push(`${desc.cName}: ${desc.size} bytes are no multiple of 8`);
  const names = new Set(desc.fields.map(({ name }) => name));
  if (names.size !== desc.fields.length) faults.push(`${desc.cName}: two fields of one name`);
  return faults;
}

function allStructs(): StructDesc[] {
  const descs: RecordDesc[] = Object.values(RECORDS);
  return [RECORD_HEADER, PIDS, ...descs.map(({ payload }) => payload).filter(isStruct)];
}

Deno.test("the structs of all records lie as C lays them out", () => {
  const structs = allStructs();
  assertEquals(structs.length, 19);
  assertEquals(structs.flatMap(tableFaults), []);
});

Deno.test("tableFaults() sees a wrong alignment and a doubled name, struct() a gap at the end", () => {
  const rows: FieldRow[] = [["a", "u32", ""], ["a", "u64", ""]];
  assertEquals(tableFaults(struct("bad", 12, rows)), [
    "bad.a: not aligned",
    "bad: 12 bytes are no multiple of 8",
    "bad: two fields of one name",
  ]);
  assertThrows(() => struct("short", 16, rows), RangeError, "struct short: its fields have 12 bytes, not 16");
});

Deno.test("writeStruct() gives back the bytes that readStruct() read, for each struct", () => {
  for (const desc of allStructs()) {
    const bytes = Uint8Array.from({ length: desc.size + 3 }, (_, i) => (i * 37 + 11) & 0xff);
    const out = new Uint8Array(desc.size + 3);
    out.set(bytes.subarray(0, 3));
    writeStruct(desc, readStruct(desc, dataView(bytes), 3), dataView(out), 3);
    assertEquals(out, bytes, desc.cName);
  }
});

Deno.test("readStruct() gives signed, unsigned and 64-bit values little-endian", () => {
  const view = dataView(Uint8Array.of(0xff, 0xff, 0xfe, 0xff, 0xfd, 0xff, 0xff, 0xff));
  assertEquals(readStruct(RECORD_HEADER, view), { type: -1, len: -2, parent: 0xffff_fffd });
  const mm = new Uint8Array(96);
  mm.set([1, 2, 3, 4, 5, 6, 7, 8], 8);
  assertEquals(readStruct(MM, dataView(mm)).start_code, 0x0807_0605_0403_0201n);
});

Deno.test("readStruct() throws where the bytes end too early", () => {
  assertThrows(() => readStruct(MM, dataView(new Uint8Array(95))), RangeError);
});

Deno.test("writeStruct() refuses values that do not fit, naming the field", () => {
  const view = dataView(new Uint8Array(8));
  const write = (fields: Record<string, number | bigint>): void => writeStruct(RECORD_HEADER, fields, view);
  assertThrows(
    () => write({ type: 40000, len: 0, parent: 0 }),
    RangeError,
    "type: a s16 holds -32768 to 32767",
  );
  assertThrows(() => write({ type: 1, len: 0 }), TypeError, "parent: a u32 cannot hold undefined");
  assertThrows(() => write({ type: 1n, len: 0, parent: 0 }), TypeError, "type: a s16 cannot hold bigint");
});

Deno.test("rawText() and displayText() end at the NUL, and only displayText() escapes", () => {
  const bytes = Uint8Array.of(0x61, 0x0a, 0xff, 0x5c, 0, 0x62);
  assertEquals(rawText(bytes), "a\n\xff\\");
  assertEquals(displayText(bytes), "a\\x0a\\xff\\x5c");
  const shown = (text: string): string => displayText(new TextEncoder().encode(text));
  assertEquals(shown("é\u200b\\"), "é\\xe2\\x80\\x8b\\x5c");
  assertEquals(shown("\ufeff\u2028\u2029"), "\\xef\\xbb\\xbf\\xe2\\x80\\xa8\\xe2\\x80\\xa9");
});
