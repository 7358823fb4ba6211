// SPDX-License-Identifier: MIT

import {
  NIGHTLY_RESULT_SCHEMA,
  type NightlyChange,
  type NightlyJob,
  type NightlyResult,
  type NightlyRun,
  type TrendPoint,
} from "./nightly_result.ts";
import { compareJob, nameChanges, sortChanges } from "./history/compare_history.ts";
import { type History, mergedScenarios, type PastScenario } from "./history/history.ts";
import { PROJECT_ROOT } from "./plan/harness_digest.ts";

interface NightlyResultInput {
  readonly run: NightlyRun;
  readonly jobs: readonly NightlyJob[];
  readonly history: History;
  /** Ids of the runs that this one is made of; they are no past. */
  readonly own: readonly string[];
  readonly wholeMatrix: boolean;
}

const TREND_POINTS = 30;
/** Scenarios of each job whose durations are kept for trends. */
const SLOWEST_SCENARIOS = 6;

/** Counts the jobs of a nightly run and compares each with the past. */
export async function buildNightlyResult(input: NightlyResultInput): Promise<NightlyResult> {
  const { run, jobs, history, own } = input;
  const trends: Record<string, TrendPoint[]> = {};
  const changes: NightlyChange[] = [];
  const here = { id: run.id, started: run.started };
  for (const job of jobs) {
    const past = history.jobHistory(job.name, own);
    const pastScenarios = history.scenarioHistory(job.name, own);
    changes.push(...compareJob({ job, run: here, past, pastScenarios }));
    const { bytes, mutants } = job.run ?? {};
    const now = { run: here, status: job.status, seconds: job.seconds, bytes, mutants };
    const points = [...past.filter(({ status }) => status !== "missing"), now];
    const times = slowestScenarios(job, here.id, pastScenarios);
    trends[job.name] = points.slice(-TREND_POINTS).map(({ run, status, seconds, bytes, mutants }) => {
      const scenarios = times.get(run.id);
      return { run, status, seconds, bytes, mutants, ...scenarios ? { scenarios } : {} };
    });
  }
  if (input.wholeMatrix) changes.push(...goneJobs(input));
  const named = await nameChanges(changes, { history, here, project: PROJECT_ROOT });
  const count = (status: string): number => jobs.filter((job) => job.status === status).length;
  const sum = (name: keyof NightlyResult["scenarios"]): number =>
    jobs.reduce((total, { run }) => total + (run?.counts[name] ?? 0), 0);
  return {
    ...{ schema: NIGHTLY_RESULT_SCHEMA, run, jobs, changes: sortChanges(named), trends },
    counts: { passed: count("pass"), failed: count("fail"), missing: count("missing") },
    scenarios: { passed: sum("passed"), failed: sum("failed"), lost: sum("lost"), skipped: sum("skipped") },
  };
}

/** By run, how many milliseconds those scenarios took that take the longest now. */
function slowestScenarios(
  job: NightlyJob,
  here: string,
  past: readonly PastScenario[],
): Map<string, Record<string, number>> {
  const slowest = mergedScenarios(job).filter(({ status }) => status !== "skip")
    .toSorted((a, b) => b.milliseconds - a.milliseconds).slice(0, SLOWEST_SCENARIOS);
  const names = new Set(slowest.map(({ scenario }) => scenario));
  const now = slowest.map((one) => ({ ...one, run: { id: here } }));
  const all = [...past.filter(({ scenario, status }) => names.has(scenario) && status !== "skip"), ...now];
  const byRun = Map.groupBy(all, ({ run }) => run.id);
  return new Map([...byRun].map(([id, scenarios]) => [
    id,
    Object.fromEntries(scenarios.map(({ scenario, milliseconds }) => [scenario, Math.round(milliseconds)])),
  ]));
}

/** Jobs that the last nightly run of this matrix had and this one has not planned. */
function goneJobs({ run, jobs, history, own }: NightlyResultInput): NightlyChange[] {
  const last = history.lastPlan(run.matrix.path, own);
  const here = new Set(jobs.map(({ name }) => name));
  return (last?.jobs ?? []).filter((name) => !here.has(name)).map((job) => ({
    ...{ kind: "missing", job, changed: [], reproduce: `deno task nightly --only ${job}` },
    text: `run ${last!.run} had it, the matrix has it no more`,
  }));
}

/** What {@linkcode timeBreakdown} takes. Times are in seconds. */
interface TimeBreakdownInput {
  /** From the start of the command to the end of its last job. */
  readonly wall: number;
  readonly slots: number;
  /** Until the first job could start. */
  readonly planning: number;
  readonly builds: number;
  /** Jobs that were ended before they were finished. */
  readonly cutShort: number;
  readonly jobs: readonly NightlyJob[];
}

/**
 * What the time of all processes side by side was spent on, in seconds. The sum is `wall` times `slots`, since what
 * nothing ran in is in it, too, as `waiting`.
 */
export function timeBreakdown(input: TimeBreakdownInput): Record<string, number> {
  const { wall, slots, planning, builds, cutShort, jobs } = input;
  const spent: Record<string, number> = { planning, "kernel builds": builds, "jobs cut short": cutShort };
  for (const job of jobs.filter(({ reused }) => !reused)) {
    for (const [name, seconds] of Object.entries(jobBreakdown(job))) {
      spent[name] = (spent[name] ?? 0) + seconds;
    }
  }
  const rounded = Object.entries(spent).map(([name, seconds]): [string, number] => [name, tenths(seconds)]);
  const known = rounded.reduce((sum, [, seconds]) => sum + seconds, 0);
  // The clocks of the jobs' processes and ours are the same, but each starts a moment later.
  rounded.push(["waiting", tenths(Math.max(wall * slots - known, 0))]);
  return Object.fromEntries(rounded.filter(([, seconds]) => seconds > 0));
}

/** What the time of a job was spent on, in seconds: guests' boots, scenarios and the rest, or the suite as a whole. */
export function jobBreakdown({ run, seconds, suite }: NightlyJob): Record<string, number> {
  if (!run?.boots) return seconds > 0 ? { [suite]: seconds } : {};
  const boots = run.boots.milliseconds / 1000;
  const scenarios = run.results.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000;
  return { boots, scenarios, "rest of the jobs": Math.max(seconds - boots - scenarios, 0) };
}

function tenths(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
