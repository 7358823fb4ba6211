// SPDX-License-Identifier: MIT

import { findingText } from "../../lib/image/finding.ts";
import type { JobFailureKind, NightlyJob } from "../nightly/nightly_result.ts";
import type { ScenarioRecord } from "../run/run_result.ts";
import type { BisectRun, Failure, SkipKind } from "./bisect_run.ts";

/** What a job says, for a bisect. */
export type JudgedRun = Pick<BisectRun, "skip" | "passed" | "skipped" | "failures">;

/** Reads from the result of a job which scenarios passed and failed, or why that is not known. */
export function judgeBisectRun(job: NightlyJob): JudgedRun {
  const { run, failure, reason = "no reason given" } = job;
  const skip = (kind: SkipKind, text: string): JudgedRun => ({
    ...{ skip: { kind, reason: text }, passed: [], skipped: [], failures: [] },
  });
  const kind = failure && SKIPPED[failure.kind];
  if (kind === "build") return skip(kind, `does not build: ${reason.replace(UNBUILT, "")}`);
  if (kind === "nothing ran") {
    const first = run?.results.find(({ status }) => status === "skip");
    return skip(kind, first ? `${first.scenario} was skipped: ${first.reason}` : reason);
  }
  if (kind !== undefined) return skip(kind, reason);
  if (!run) return withoutResults(job) ?? skip("guest lost", reason);
  const unbooted = run.results.find(({ phase, status }) => phase === "boot" && status === "lost");
  if (unbooted) return skip("boot", `does not boot: ${firstLine(unbooted.reason ?? "the guest was lost")}`);
  const failed = run.results.filter(({ status }) => status === "fail" || status === "lost");
  const names = new Set(failed.map(({ scenario }) => scenario));
  const others = (wanted: ScenarioRecord["status"]): string[] =>
    run.results.filter(({ scenario, status }) => status === wanted && !names.has(scenario))
      .map(({ scenario }) => scenario);
  return {
    passed: others("pass"),
    skipped: others("skip"),
    failures: [...names].map((name) => failureOf(failed.filter(({ scenario }) => scenario === name))),
  };
}

/** How the reason of a job whose kernel does not build begins. */
const UNBUILT = /^its kernel was not built: (ckptest kernel: )?/;

/** Ends of a job that say nothing of a scenario. */
const SKIPPED: Partial<Record<JobFailureKind, SkipKind>> = {
  "plan": "build",
  "build": "build",
  "deadline": "deadline",
  "nothing ran": "nothing ran",
  "usage": "other",
  "crash": "other",
  "merge conflict": "other",
};

/** A suite that writes no results, such as random programs, counts as one scenario. */
function withoutResults({ suite, status, failure, reason = "" }: NightlyJob): JudgedRun | undefined {
  if (status === "pass") return { passed: [suite], skipped: [], failures: [] };
  if (failure?.kind !== "test") return undefined;
  const keys = failure.logTail.flatMap((line) => line.match(/\bE_[A-Z0-9_]+\b/g) ?? []);
  const one: Failure = { scenario: suite, keys: [...new Set(keys)], lost: false, text: reason };
  return { passed: [], skipped: [], failures: [one] };
}

/** One failure of all records of a scenario. */
function failureOf(records: readonly ScenarioRecord[]): Failure {
  const findings = records.flatMap((record) => [
    ...record.findings,
    ...record.stops.flatMap((stop) => stop.findings),
  ]);
  const splats = records.flatMap((record) => record.splats).filter(({ allowed }) => allowed === undefined);
  // The finding that there was a complaint says less than the complaint.
  const ids = findings.map(({ id }) => id).filter((id) => id !== "E_SPLAT" && id.startsWith("E_"));
  const titles = splats.map(({ title }) => `splat: ${title}`);
  const [first] = findings;
  const reason = records.find((record) => record.reason !== undefined)?.reason;
  const text = splats[0]?.title ?? (first ? findingText(first) : reason) ?? "failed";
  return {
    scenario: records[0]!.scenario,
    keys: [...new Set([...titles, ...ids])],
    lost: records.some(({ status }) => status === "lost"),
    text: firstLine(text),
  };
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!;
}
