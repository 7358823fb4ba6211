// SPDX-License-Identifier: MIT

import { type Finding, mismatch } from "../../lib/image/finding.ts";
import type { ExpectedResult } from "../../lib/model/target_op.ts";
import { hexBytes } from "../../lib/bytes.ts";
import type { TargetResult } from "../../vm/agent/target_program.ts";

/** What the target reported of an op: a number, or bytes for a `report` op. */
export type ResultItem = Partial<Pick<TargetResult, "value" | "bytes">>;

/**
 * Compares what the target's calls returned with what they had to return: a set-up that failed proves
 * nothing.
 */
export function checkResults(items: readonly ResultItem[], expected: readonly ExpectedResult[]): Finding[] {
  for (const [index, want] of expected.entries()) {
    const finding = checkItem(items[index], want);
    // Everything after the first failure follows from it.
    if (finding) return [finding];
  }
  return [];
}

function checkItem(item: ResultItem | undefined, want: ExpectedResult): Finding | undefined {
  if (!item) {
    return mismatch("E_SETUP", { path: "target", message: `${want.what}: the target did not get that far` });
  }
  const value = want.mask === undefined || (item.value ?? -1n) < 0n ? item.value : item.value! & want.mask;
  const expected = want.report ? want.bytes && hexBytes(want.bytes) : want.expected?.toString();
  const actual = want.report ? item.bytes && hexBytes(item.bytes) : value?.toString();
  if (expected === undefined || expected === actual) return undefined;
  if (want.orElse !== undefined && value === want.orElse) return undefined;
  const message = `${want.what} did not give what the model says`;
  return mismatch("E_SETUP", { path: "target", message, expected, actual: actual ?? "nothing" });
}
