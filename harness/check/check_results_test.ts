// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { ExpectedResult } from "../../lib/model/target_op.ts";
import { checkResults } from "./check_results.ts";

const CALL: ExpectedResult = { what: "mmap()", expected: 0x1000n } as ExpectedResult;
const ANY: ExpectedResult = { what: "getpid()" } as ExpectedResult;
const REPORT = { what: "report", report: true, bytes: Uint8Array.of(1, 2) } as unknown as ExpectedResult;

Deno.test("checkResults() is content with what was expected, and with anything where nothing was", () => {
  const items = [{ value: 0x1000n }, { value: 77n }, { bytes: Uint8Array.of(1, 2) }];
  assertEquals(checkResults(items, [CALL, ANY, REPORT]), []);
});

Deno.test("checkResults() reports the first result that differs, with both values", () => {
  const [finding, ...more] = checkResults([{ value: -12n }, { value: 1n }], [CALL, CALL]);
  assertEquals([finding?.id, finding?.expected, finding?.actual, more], ["E_SETUP", "4096", "-12", []]);
  const [bytes] = checkResults([{ bytes: Uint8Array.of(1, 3) }], [REPORT]);
  assertEquals([bytes?.expected, bytes?.actual], ["01 02", "01 03"]);
});

Deno.test("checkResults() reports a target that did not get that far", () => {
  const [finding] = checkResults([{ value: 0x1000n }], [CALL, ANY]);
  assertEquals(finding?.message, "getpid(): the target did not get that far");
});

Deno.test("checkResults() is not content with a number where bytes were to come", () => {
  assertEquals(checkResults([{ value: 1n }], [REPORT]).length, 1);
  assertEquals(checkResults([{ bytes: Uint8Array.of(1) }], [CALL]).length, 1);
});
