// SPDX-License-Identifier: MIT

import {
  type ChangedDigest,
  type ChangeKind,
  DIGEST_NAMES,
  type JobDigests,
  type NightlyChange,
  type NightlyJob,
  type RunReference,
} from "../nightly_result.ts";
import { mergedScenarios, type PastJob, type PastScenario } from "./history.ts";
import { formatDuration } from "../../run/quantity.ts";

/** A job of this run, and what is known of it. */
interface ComparedJob {
  readonly job: NightlyJob;
  readonly run: RunReference;
  /** Its earlier runs, the oldest first. */
  readonly past: readonly PastJob[];
  readonly pastScenarios: readonly PastScenario[];
}

/** When something is slower: more than `factor` times the median of at least so many, and by so many seconds. */
interface SlownessRule {
  readonly factor: number;
  readonly seconds: number;
  readonly samples: number;
}

/** Of a job: what the machine does beside it moves its time, so the bounds are wide. */
const SLOW_JOB: SlownessRule = { factor: 1.6, seconds: 30, samples: 5 };
/** Of a scenario, which takes a second or less: a shared processor may well hold it up for one. */
const SLOW_SCENARIO: SlownessRule = { factor: 3, seconds: 3, samples: 5 };

/** Kinds of changes, the worst first. */
const ORDER: readonly ChangeKind[] = [
  "conflict",
  "new failure",
  "still failing",
  "flaky",
  "missing",
  "slower",
  "fixed",
];

/** Something that passed or failed in a run; what was skipped or did not run says nothing. */
interface Outcome {
  readonly run: RunReference;
  readonly passed: boolean;
  readonly seconds: number;
  readonly digest: string | undefined;
  readonly digests: Partial<JobDigests>;
}

/** Runs in which an unsteady outcome is looked for. */
const FLAKY_RUNS = 20;

/** Puts changes in order, the worst first. */
export function sortChanges(changes: readonly NightlyChange[]): NightlyChange[] {
  const rank = ({ kind, job, scenario = "" }: NightlyChange): string =>
    `${ORDER.indexOf(kind)} ${job} ${scenario}`;
  return changes.toSorted((a, b) => rank(a) < rank(b) ? -1 : 1);
}

/** What is not as it was in a job: as a whole, and of each scenario. */
export function compareJob(compared: ComparedJob): NightlyChange[] {
  const { job } = compared;
  if (job.status === "missing") return [missingJob(compared)];
  if (job.failure?.kind === "merge conflict") {
    return [{ ...base(job), kind: "conflict", text: job.reason ?? "shards disagree" }];
  }
  const changes = compareScenarios(compared);
  const failing = job.run?.results.some(({ status }) => status === "fail" || status === "lost") === true;
  // What a scenario says is not said of the job again.
  const past = compared.past.filter(({ status }) => status !== "missing");
  const scenarioJobs = new Set(compared.pastScenarios.filter(hasFailed).map(({ run }) => run.id));
  const timeline = past.map(({ run, status, seconds, digest, digests }) => ({
    ...{ run, seconds, digest, digests },
    passed: status === "pass" || scenarioJobs.has(run.id),
  }));
  const now: Outcome = {
    ...outcomeBase(compared),
    passed: job.status === "pass" || failing,
    seconds: job.seconds,
  };
  const change = classify(now, timeline) ?? slower(now, timeline, SLOW_JOB);
  if (!change) return changes;
  const unbuilt = job.failure?.kind === "build" ? "its kernel was not built: " : "";
  const because = now.passed || !job.reason ? "" : `${unbuilt}${job.reason.split("\n")[0]}; `;
  return [{ ...base(job), ...change, text: because + change.text }, ...changes];
}

function missingJob({ job, past }: ComparedJob): NightlyChange {
  const last = past.findLast(({ status }) => status !== "missing");
  const good = past.findLast(({ status }) => status === "pass");
  const text = `${job.reason ?? "it did not run"}; ` +
    (last ? `it ran last on ${dayOf(last.run)}` : "it never ran before");
  return { ...base(job), kind: "missing", text, ...(good ? { lastGood: good.run } : {}) };
}

function compareScenarios(compared: ComparedJob): NightlyChange[] {
  const { job, past, pastScenarios } = compared;
  // A job that ended early says nothing of its scenarios.
  if (!job.run) return [];
  const jobs = new Map(past.map((one) => [one.run.id, one]));
  const timelines = Map.groupBy(pastScenarios, ({ scenario }) => scenario);
  const now = mergedScenarios(job);
  const changes = now.flatMap((record): NightlyChange[] => {
    if (record.status === "skip") return [];
    const timeline = (timelines.get(record.scenario) ?? []).filter(({ status }) => status !== "skip")
      .map((one): Outcome => ({
        run: one.run,
        passed: one.status === "pass",
        seconds: one.milliseconds / 1000,
        digest: jobs.get(one.run.id)?.digest,
        digests: jobs.get(one.run.id)?.digests ?? {},
      }));
    const outcome = {
      ...outcomeBase(compared),
      passed: record.status === "pass",
      seconds: record.milliseconds / 1000,
    };
    const change = classify(outcome, timeline) ?? slower(outcome, timeline, SLOW_SCENARIO);
    if (!change) return [];
    const again = record.reproduced && !outcome.passed
      ? `; run again alone it failed ${record.reproduced.times} of ${record.reproduced.of} times`
      : "";
    const scenario = { scenario: record.scenario, reproduce: record.reproduce || job.reproduce };
    return [{ ...base(job), ...change, ...scenario, text: change.text + again }];
  });
  return [...changes, ...goneScenarios(compared, new Set(now.map(({ scenario }) => scenario)))];
}

/** Scenarios that the last run of the job had and this one has not. */
function goneScenarios({ job, past, pastScenarios }: ComparedJob, here: Set<string>): NightlyChange[] {
  const withScenarios = new Set(pastScenarios.map(({ run }) => run.id));
  const last = past.findLast(({ run }) => withScenarios.has(run.id));
  if (!last) return [];
  const changed = changedDigests(last.digests, job.digests ?? {});
  return pastScenarios.filter(({ run, scenario }) => run.id === last.run.id && !here.has(scenario))
    .map(({ scenario }) => ({
      ...base(job),
      kind: "missing",
      scenario,
      lastGood: last.run,
      changed,
      text: `the run of ${dayOf(last.run)} had it, this one has not`,
    }));
}

type Change = Pick<NightlyChange, "kind" | "text"> & Partial<NightlyChange>;

/** What an outcome is beside those before it; undefined when it is as ever. */
function classify(now: Outcome, timeline: readonly Outcome[]): Change | undefined {
  const recent = timeline.slice(-FLAKY_RUNS);
  const lastGood = timeline.findLast(({ passed }) => passed);
  const good = lastGood ? { lastGood: lastGood.run } : {};
  const same = recent.filter(({ digest }) => digest !== undefined && digest === now.digest);
  if (same.some(({ passed }) => passed !== now.passed)) {
    const failures = [...same, now].filter(({ passed }) => !passed);
    const text = `failed in ${failures.length} of ${same.length + 1} runs that differ in nothing`;
    return {
      kind: "flaky",
      ...good,
      since: failures[0]!.run,
      text: `${now.passed ? "passes now; " : ""}${text}`,
    };
  }
  const last = timeline.at(-1);
  if (now.passed) {
    if (!last || last.passed) return undefined;
    const since = firstFailure(timeline);
    const changed = changedDigests(last.digests, now.digests);
    return {
      kind: "fixed",
      ...good,
      since: since.run,
      changed,
      text: `failed since ${dayOf(since.run)}${why(changed)}`,
    };
  }
  const first = last && !last.passed ? firstFailure(timeline) : now;
  const changed = lastGood ? changedDigests(lastGood.digests, first.digests) : [];
  const before = lastGood ? `passed last on ${dayOf(lastGood.run)}${why(changed)}` : "no earlier run passed";
  return first === now ? { kind: "new failure", ...good, since: now.run, changed, text: before } : {
    kind: "still failing",
    ...good,
    since: first.run,
    changed,
    text: `since ${dayOf(first.run)}; ${before}`,
  };
}

/** The first failure since the last pass. */
function firstFailure(timeline: readonly Outcome[]): Outcome {
  return timeline[timeline.findLastIndex(({ passed }) => passed) + 1]!;
}

function slower(now: Outcome, timeline: readonly Outcome[], rule: SlownessRule): Change | undefined {
  const times = timeline.filter(({ passed }) => passed).map(({ seconds }) => seconds);
  if (!now.passed || times.length < rule.samples) return undefined;
  const median = medianOf(times)!;
  if (now.seconds <= median * rule.factor || now.seconds - median < rule.seconds) return undefined;
  const duration = { seconds: now.seconds, median, samples: times.length };
  const text = `took ${formatDuration(now.seconds)}: the median of ${times.length} runs is ${
    formatDuration(median)
  }`;
  return { kind: "slower", duration, text };
}

/** The middle of some numbers; undefined of none. */
export function medianOf(numbers: readonly number[]): number | undefined {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]
    : sorted.length === 0
    ? undefined
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function changedDigests(before: Partial<JobDigests>, after: Partial<JobDigests>): ChangedDigest[] {
  return DIGEST_NAMES.filter((name) => before[name] !== after[name]).map((name) => ({
    name,
    ...(before[name] === undefined ? {} : { before: before[name] }),
    ...(after[name] === undefined ? {} : { after: after[name] }),
  }));
}

/** What changed, in words. A kernel that is made of changed parts needs no mention. */
function why(changed: readonly ChangedDigest[]): string {
  const names: string[] = changed.map(({ name }) => name);
  const parts = names.filter((name) =>
    name !== "kernel" || !["source", "patch", "config"].some((part) => names.includes(part))
  );
  return parts.length === 0
    ? "; nothing that is kept track of changed"
    : `; changed since: ${parts.join(", ")}`;
}

function outcomeBase({ run, job }: ComparedJob): Pick<Outcome, "run" | "digest" | "digests"> {
  return { run, digest: job.digest, digests: job.digests ?? {} };
}

function base(job: NightlyJob): Pick<NightlyChange, "job" | "changed" | "reproduce"> {
  return { job: job.name, changed: [], reproduce: job.reproduce };
}

function hasFailed({ status }: PastScenario): boolean {
  return status === "fail" || status === "lost";
}

function dayOf({ started }: RunReference): string {
  return started.slice(0, 16).replace("T", " ");
}
