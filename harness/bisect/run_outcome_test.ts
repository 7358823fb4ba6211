// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { EXIT_STATUS } from "../../vm/host/errors.ts";
import { fakeRunResult } from "../nightly/testing/fake_jobs.ts";
import type { RunResult, ScenarioRecord } from "../run/run_result.ts";
import { bisectStatusOf, bisectVerdict } from "./run_outcome.ts";

/** Results of scenarios, with changes to their records. */
function resultOf(
  scenarios: Record<string, ScenarioRecord["status"]>,
  changes: Record<string, Partial<ScenarioRecord>> = {},
): RunResult {
  const run = fakeRunResult("a/x86_64/plain/catalogue", scenarios);
  return { ...run, results: run.results.map((record) => ({ ...record, ...changes[record.scenario] })) };
}

const FINDING = { id: "E_FIELD", verdict: "mismatch", path: "task[0]", message: "is wrong" } as const;

Deno.test("bisectVerdict() calls a kernel bad by a failing scenario, good by a passing one", () => {
  const statusOf = (...args: Parameters<typeof resultOf>) => {
    const { status, word, text } = bisectVerdict(resultOf(...args), []);
    return `${bisectStatusOf(status)} ${word}: ${text}`;
  };
  assertEquals(statusOf({ a: "pass", b: "skip" }), "0 good: 1 passed");
  const found = { a: { findings: [FINDING] } };
  assertEquals(statusOf({ a: "fail", b: "pass" }, found), "1 bad: a: mismatch E_FIELD task[0]: is wrong");
  assertEquals(statusOf({ a: "lost" }, { a: { reason: "panic" } }), "1 bad: a: panic");
  const unbooted = { a: { phase: "boot", reason: "no output" } } as const;
  assertEquals(statusOf({ a: "lost", b: "lost" }, unbooted), "125 skip: does not boot: no output");
  assertEquals(statusOf({ a: "skip" }, { a: { reason: "no swap" } }), "125 skip: a was skipped: no swap");
  assertEquals(statusOf({}), "125 skip: no scenario ran");
});

Deno.test("bisectVerdict() tells the failure that is looked for from others", () => {
  const failing = (id: string) => resultOf({ a: "fail" }, { a: { findings: [{ ...FINDING, id }] } });
  assertEquals(bisectVerdict(failing("E_FIELD"), ["E_OTHER", "E_FIELD"]).word, "bad");
  const other = bisectVerdict(failing("E_OTHER"), ["E_FIELD"]);
  assertEquals(bisectStatusOf(other.status), 125);
  assertEquals(other.text, "fails in another way: a: mismatch E_OTHER task[0]: is wrong");
  assertEquals(bisectVerdict(resultOf({ a: "pass" }), ["E_FIELD"]).word, "good");
});

Deno.test("bisectVerdict() calls no kernel bad for an error of ckptest itself", () => {
  const fault = { a: { findings: [{ ...FINDING, id: "E_HARNESS" }] } };
  const alone = bisectVerdict(resultOf({ a: "fail" }, fault), []);
  assertEquals([alone.word, alone.text], ["skip", "a was skipped: ckptest itself failed"]);
  assertEquals(bisectVerdict(resultOf({ a: "fail", b: "fail" }, fault), []).word, "bad");
});

Deno.test("bisectStatusOf() stops a bisect when nothing is known of the kernel", () => {
  assertEquals(bisectStatusOf(EXIT_STATUS.usage), 128);
  assertEquals(bisectStatusOf(EXIT_STATUS.internalError), 128);
  assertEquals(bisectStatusOf(EXIT_STATUS.buildFailed), 125);
});
