// SPDX-License-Identifier: MIT

import {
  type ChangedDigest,
  type ChangeKind,
  DIGEST_NAMES,
  type JobDigests,
  type NightlyChange,
  type NightlyJob,
  type Revision,
  type RunReference,
} from "../nightly_result.ts";
import { type History, mergedScenarios, type PastJob, type PastScenario } from "./history.ts";
import { formatDuration, medianOf, someNames } from "../../run/quantity.ts";
import { GitError, runGit } from "../../../vm/host/run_git.ts";

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
  const { job, run, past, pastScenarios } = compared;
  const base = { job: job.name, changed: [], reproduce: job.reproduce };
  const ran = past.filter(({ status }) => status !== "missing");
  if (job.status === "missing") {
    const [last, good] = [ran.at(-1), ran.findLast(({ status }) => status === "pass")];
    const when = last ? `it ran last on ${shortTime(last.run.started)}` : "it never ran before";
    const text = `${job.reason ?? "it did not run"}; ${when}`;
    return [{ ...base, kind: "missing", text, lastGood: good?.run }];
  }
  if (job.failure?.kind === "merge conflict") {
    return [{ ...base, kind: "conflict", text: job.reason ?? "shards disagree" }];
  }
  const changes = compareScenarios(compared).map((change) => ({ ...base, ...change }));
  // What a scenario says is not said of the job again.
  const failing = job.run?.results.some(({ status }) => hasFailed(status)) === true;
  const scenarioJobs = new Set(
    pastScenarios.filter(({ status }) => hasFailed(status)).map(({ run }) => run.id),
  );
  const timeline = ran.map((one) => ({
    ...one,
    passed: one.status === "pass" || scenarioJobs.has(one.run.id),
  }));
  const now = {
    ...{ run, seconds: job.seconds, digest: job.digest, digests: job.digests ?? {} },
    passed: job.status === "pass" || failing,
  };
  const change = compareOutcome(now, timeline, SLOW_JOB);
  if (!change) return changes;
  const unbuilt = job.failure?.kind === "build" ? "its kernel was not built: " : "";
  const because = now.passed || !job.reason ? "" : `${unbuilt}${job.reason.split("\n")[0]}; `;
  return [{ ...base, ...change, text: because + change.text }, ...changes];
}

function compareScenarios(compared: ComparedJob): Change[] {
  const { job, run, past, pastScenarios } = compared;
  // A job that ended early says nothing of its scenarios.
  if (!job.run) return [];
  const jobs = new Map(past.map((one) => [one.run.id, one]));
  const timelines = Map.groupBy(pastScenarios, ({ scenario }) => scenario);
  const now = mergedScenarios(job);
  const changes = now.flatMap(({ scenario, status, milliseconds, reproduced, reproduce }): Change[] => {
    if (status === "skip") return [];
    const timeline = (timelines.get(scenario) ?? []).filter(({ status }) => status !== "skip")
      .map((one) => ({
        ...{ run: one.run, passed: one.status === "pass", seconds: one.milliseconds / 1000 },
        digest: jobs.get(one.run.id)?.digest,
        digests: jobs.get(one.run.id)?.digests ?? {},
      }));
    const passed = status === "pass";
    const ofJob = { run, digest: job.digest, digests: job.digests ?? {} };
    const outcome = { ...ofJob, passed, seconds: milliseconds / 1000 };
    const change = compareOutcome(outcome, timeline, SLOW_SCENARIO);
    if (!change) return [];
    const again = reproduced && !passed
      ? `; run again alone it failed ${reproduced.times} of ${reproduced.of} times`
      : "";
    return [{ ...change, scenario, reproduce: reproduce || job.reproduce, text: change.text + again }];
  });
  return [...changes, ...goneScenarios(compared, now.map(({ scenario }) => scenario))];
}

/** Scenarios that the last run of the job had and this one has not. */
function goneScenarios({ job, past, pastScenarios }: ComparedJob, here: readonly string[]): Change[] {
  const withScenarios = new Set(pastScenarios.map(({ run }) => run.id));
  const last = past.findLast(({ run }) => withScenarios.has(run.id));
  const gone = pastScenarios.filter(({ run, scenario }) =>
    run.id === last?.run.id && !here.includes(scenario)
  );
  return gone.map(({ run, scenario }) => {
    const changed = changedDigests(last!.digests, job.digests ?? {});
    const text = `the run of ${shortTime(run.started)} had it, this one has not`;
    return { kind: "missing", scenario, changed, lastGood: run, text };
  });
}

type Change = Pick<NightlyChange, "kind" | "text"> & Partial<NightlyChange>;

function compareOutcome(now: Outcome, timeline: readonly Outcome[], rule: SlownessRule): Change | undefined {
  return classify(now, timeline) ?? slower(now, timeline, rule);
}

/** What an outcome is beside those before it; undefined when it is as ever. */
function classify(now: Outcome, timeline: readonly Outcome[]): Change | undefined {
  const recent = timeline.slice(-FLAKY_RUNS);
  const lastGood = timeline.findLast(({ passed }) => passed);
  const good = { lastGood: lastGood?.run };
  const same = recent.filter(({ digest }) => digest !== undefined && digest === now.digest);
  if (same.some(({ passed }) => passed !== now.passed)) {
    const failures = [...same, now].filter(({ passed }) => !passed);
    const text = `failed in ${failures.length} of ${same.length + 1} runs that differ in nothing`;
    const passes = now.passed ? "passes now; " : "";
    return { kind: "flaky", ...good, since: failures[0]!.run, text: passes + text };
  }
  const last = timeline.at(-1);
  if (now.passed) {
    if (!last || last.passed) return undefined;
    const since = firstFailure(timeline);
    const changed = changedDigests(last.digests, now.digests);
    const text = `failed since ${shortTime(since.run.started)}${why(changed)}`;
    return { kind: "fixed", ...good, since: since.run, changed, text };
  }
  const first = last && !last.passed ? firstFailure(timeline) : now;
  const changed = lastGood ? changedDigests(lastGood.digests, first.digests) : [];
  const before = lastGood
    ? `passed last on ${shortTime(lastGood.run.started)}${why(changed)}`
    : "no earlier run passed";
  const change = { ...good, since: first.run, changed };
  if (first === now) return { kind: "new failure", ...change, text: before };
  return { kind: "still failing", ...change, text: `since ${shortTime(first.run.started)}; ${before}` };
}

function firstFailure(timeline: readonly Outcome[]): Outcome {
  return timeline[timeline.findLastIndex(({ passed }) => passed) + 1]!;
}

function slower(now: Outcome, timeline: readonly Outcome[], rule: SlownessRule): Change | undefined {
  const times = timeline.filter(({ passed }) => passed).map(({ seconds }) => seconds);
  if (!now.passed || times.length < rule.samples) return undefined;
  const median = medianOf(times)!;
  if (now.seconds <= median * rule.factor || now.seconds - median < rule.seconds) return undefined;
  const duration = { seconds: now.seconds, median, samples: times.length };
  const took = `took ${formatDuration(now.seconds)}`;
  const text = `${took}: the median of ${times.length} runs is ${formatDuration(median)}`;
  return { kind: "slower", duration, text };
}

function changedDigests(before: Partial<JobDigests>, after: Partial<JobDigests>): ChangedDigest[] {
  return DIGEST_NAMES.filter((name) => before[name] !== after[name]).map((name) => ({
    name,
    before: before[name],
    after: after[name],
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

function hasFailed(status: PastScenario["status"]): boolean {
  return status === "fail" || status === "lost";
}

/** As many commits are named. */
const MAX_COMMITS = 20;

/**
 * Names what changed: the files (of a configuration the options) that differ between two digests, and the commits of
 * this project that changed them. What the history does not know is left as it is.
 *
 * @param here the run that the changes are of
 * @param project the project's checkout
 */
export async function nameChanges(
  changes: readonly NightlyChange[],
  { history, here, project }: { history: History; here: RunReference; project: string },
): Promise<NightlyChange[]> {
  // Many scenarios of a job change for one reason.
  const known = new Map<string, Promise<ChangedDigest>>();
  const nameOne = async (entry: ChangedDigest, from?: Revision, to?: Revision): Promise<ChangedDigest> => {
    const [before, after] = [history.inputsOf(entry.before), history.inputsOf(entry.after)];
    if (!before || !after) return entry;
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    const files = [...names].filter((name) => before[name] !== after[name]).sort();
    if (entry.name === "config" || !from || !to) return { ...entry, files };
    const commits = await commitsBetween(from, to, { files, project });
    return { ...entry, files, commits };
  };
  return await Promise.all(changes.map(async (change) => {
    const [first, last] = change.kind === "fixed" ? [change.since, here] : [change.lastGood, change.since];
    const [from, to] = [first, last].map((run) => run && history.revisionOf(run.id));
    const changed = await Promise.all(change.changed.map((entry) => {
      const key = JSON.stringify([entry, from, to]);
      const named = known.get(key) ?? nameOne(entry, from, to);
      known.set(key, named);
      return named;
    }));
    return { ...change, changed };
  }));
}

/** Undefined when the checkout does not have both commits. */
async function commitsBetween(
  from: Revision,
  to: Revision,
  { files, project }: { files: readonly string[]; project: string },
): Promise<string[] | undefined> {
  const args = ["log", `--max-count=${MAX_COMMITS + 1}`, "--format=%h %s", `${from.commit}..${to.commit}`];
  try {
    const log = (await runGit([...args, "--", ...files], { cwd: project })).trim();
    const commits = log === "" ? [] : log.split("\n");
    const more = commits.length > MAX_COMMITS ? ["and earlier ones"] : [];
    const edits = files.some((file) => to.edited.includes(file)) ? ["edits that are not committed"] : [];
    return [...edits, ...commits.slice(0, MAX_COMMITS), ...more];
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
  }
}

/** What changed, in a line: its name, the commits and the files. */
export function changedText({ name, commits = [], files = [] }: ChangedDigest, shown = 4): string {
  const parts = [commits.slice(0, shown).join("; "), someNames(files, shown)].filter((text) => text !== "");
  return [name, ...parts.length > 0 ? [parts.join("; in ")] : []].join(": ");
}

/** Changes of one job that say the same: one thing happened, and many scenarios show it. */
interface ChangeGroup {
  readonly change: NightlyChange;
  /** Names of all scenarios; empty when the job as a whole is meant. */
  readonly scenarios: readonly string[];
}

/** Takes together what differs in the scenario alone. The order is that of the first of each group. */
export function groupChanges(changes: readonly NightlyChange[]): ChangeGroup[] {
  const groups = new Map<string, { change: NightlyChange; scenarios: string[] }>();
  for (const change of changes) {
    const { kind, job, text, since, lastGood, scenario } = change;
    const key = JSON.stringify([kind, job, text, since?.id, lastGood?.id, scenario === undefined]);
    const group = groups.get(key) ?? { change, scenarios: [] };
    groups.set(key, group);
    if (scenario !== undefined) group.scenarios.push(scenario);
  }
  return [...groups.values()];
}

/** A time as `2026-11-24 01:00`, in UTC as it is recorded. */
export function shortTime(iso: string): string {
  return iso.slice(0, 16).replace("T", " ");
}
