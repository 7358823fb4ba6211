// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertThrows } from "@std/assert";
import { isStruct, type RecordDesc, RECORDS } from "../../lib/image/records.ts";
import { RULES } from "../../lib/image/rule_ids.ts";
import { fillTables, FORMAT_DOCS } from "./generate_format_docs.ts";

const PAGE = Deno.readTextFileSync(FORMAT_DOCS);

Deno.test("docs/format.md has the tables of lib/image: else run deno task docs:format", () => {
  assertEquals(PAGE, fillTables(PAGE));
});

Deno.test("fillTables() mends a changed table", () => {
  assertEquals(fillTables(PAGE.replace("| 0 | 8 | u64 | `magic` |", "| 4 | 8 | u64 | `magic` |")), PAGE);
});

Deno.test("fillTables() refuses marks without table and tables without mark", () => {
  assertThrows(() => fillTables(PAGE.replace("table: rules", "table: ruins")), RangeError, "ruins");
  assertThrows(() => fillTables(PAGE.replace("table: rules", "rules")), RangeError, "no mark for rules");
});

Deno.test("docs/format.md has every record, every field and every rule", () => {
  const descs: [string, RecordDesc][] = Object.entries(RECORDS);
  for (const [name, { payload }] of descs) {
    assert(PAGE.includes(`### ${name} (`), name);
    if (!isStruct(payload)) continue;
    for (const field of payload.fields) {
      assert(field.padding === "tail" || PAGE.includes(`| \`${field.name}\` |`), `${name}.${field.name}`);
    }
  }
  for (const id of Object.keys(RULES)) assert(PAGE.includes(`| \`${id}\` |`), id);
});
