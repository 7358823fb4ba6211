// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { fakeRunResult } from "../nightly/testing/fake_jobs.ts";
import type { NightlyJob } from "../nightly/nightly_result.ts";
import type { RunResult, ScenarioRecord, SplatRecord } from "../run/run_result.ts";
import { isSameFailure } from "./bisect_run.ts";
import { judgeBisectRun } from "./judge_bisect_run.ts";

const JOB: NightlyJob = {
  ...{
    name: "a/x86_64/plain/catalogue",
    kernel: "a",
    platform: "x86_64",
    flavour: "plain",
    suite: "catalogue",
  },
  ...{ status: "fail", reason: "it failed", seconds: 1, reused: false, reproduce: "" },
};

const SPLAT: SplatRecord = {
  ...{ kind: "warning", title: "WARNING in cr_write", fingerprint: "0123", frames: [], lines: [] },
};

/** A job whose scenarios came to these ends, with changes to their records. */
function jobOf(
  scenarios: Record<string, ScenarioRecord["status"]>,
  changes: Record<string, Partial<ScenarioRecord>> = {},
): NightlyJob {
  const run: RunResult = fakeRunResult(JOB.name, scenarios);
  const results = run.results.map((record) => ({ ...record, ...changes[record.scenario] }));
  return { ...JOB, failure: { kind: "test", logTail: [] }, run: { ...run, results } };
}

function finding(id: string) {
  return { id, verdict: "mismatch", path: "task[0]", message: "is wrong" } as const;
}

Deno.test("each scenario passed, was skipped, or failed with its findings and complaints", () => {
  const judged = judgeBisectRun(jobOf({ a: "pass", b: "fail", c: "skip", d: "lost" }, {
    b: { findings: [finding("E_SPLAT"), finding("E_FIELD"), finding("N_NOTE")], splats: [SPLAT] },
    d: { reason: "the guest is silent\nmore" },
  }));
  assertEquals(judged, {
    passed: ["a"],
    skipped: ["c"],
    failures: [
      { scenario: "b", keys: ["splat: WARNING in cr_write", "E_FIELD"], lost: false, text: SPLAT.title },
      { scenario: "d", keys: [], lost: true, text: "the guest is silent" },
    ],
  });
});

Deno.test("a scenario that passed, and of which the kernel complained afterwards, failed", () => {
  const { run, ...job } = jobOf({ a: "pass", later: "fail" });
  const results = run!.results.map((record) => ({ ...record, scenario: "a" }));
  const { passed, failures } = judgeBisectRun({ ...job, run: { ...run!, results } });
  assertEquals([passed, failures.map(({ scenario }) => scenario)], [[], ["a"]]);
});

Deno.test("complaints that are allowed tell no failure apart", () => {
  const { failures: [failure] } = judgeBisectRun(
    jobOf({ a: "fail" }, { a: { findings: [finding("E_FIELD")], splats: [{ ...SPLAT, allowed: "known" }] } }),
  );
  assertEquals(failure?.keys, ["E_FIELD"]);
});

Deno.test("a kernel that does not build or boot says nothing of the failure", () => {
  const kindOf = (job: NightlyJob) => judgeBisectRun(job).skip?.kind;
  const failed = (kind: NonNullable<NightlyJob["failure"]>["kind"]) =>
    kindOf({ ...JOB, failure: { kind, logTail: [] } });
  assertEquals([failed("build"), failed("plan")], ["build", "build"]);
  assertEquals([failed("deadline"), failed("nothing ran"), failed("crash")], [
    "deadline",
    "nothing ran",
    "other",
  ]);
  assertEquals(failed("guest lost"), "guest lost");
  const { run } = jobOf({ a: "skip" }, { a: { reason: "it needs 4 CPUs" } });
  const idle: NightlyJob = { ...JOB, failure: { kind: "nothing ran", logTail: [] }, run: run! };
  assertEquals(judgeBisectRun(idle).skip?.reason, "a was skipped: it needs 4 CPUs");
  const unbooted = jobOf({ boot: "lost", a: "lost" }, {
    boot: { phase: "boot", reason: "no output\nat all" },
  });
  assertEquals(judgeBisectRun(unbooted).skip, { kind: "boot", reason: "does not boot: no output" });
  // A complaint at boot is a failure as any other.
  assertEquals(kindOf(jobOf({ boot: "fail" }, { boot: { phase: "boot", splats: [SPLAT] } })), undefined);
});

Deno.test("a suite without results counts as one scenario, told apart by the findings of its log", () => {
  const suite = "fuzz-1x100";
  assertEquals(judgeBisectRun({ ...JOB, suite, status: "pass" }).passed, [suite]);
  const logTail = [
    "FAIL  x86_64: program 3",
    "      mismatch E_FIELD task[0]: x",
    "      mismatch E_FIELD y",
  ];
  assertEquals(judgeBisectRun({ ...JOB, suite, failure: { kind: "test", logTail } }).failures, [
    { scenario: suite, keys: ["E_FIELD"], lost: false, text: "it failed" },
  ]);
});

Deno.test("failures are the same by scenario and a finding or complaint in common", () => {
  const failure = { scenario: "a", keys: ["E_ONE", "E_TWO"], lost: false, text: "" };
  assertEquals(isSameFailure(failure, { ...failure, keys: ["E_TWO"], lost: true }), true);
  assertEquals(isSameFailure(failure, { ...failure, keys: ["E_THREE"] }), false);
  assertEquals(isSameFailure(failure, { ...failure, keys: [] }), false);
  assertEquals(isSameFailure(failure, { ...failure, scenario: "b" }), false);
  const lost = { ...failure, keys: [], lost: true };
  assertEquals([isSameFailure(lost, lost), isSameFailure(lost, { ...lost, lost: false })], [true, false]);
});
