// SPDX-License-Identifier: MIT

import {
  NIGHTLY_RESULT_SCHEMA,
  type NightlyChange,
  type NightlyJob,
  type NightlyResult,
  type NightlyRun,
  type TrendPoint,
} from "./nightly_result.ts";
import { compareJob, sortChanges } from "./history/compare_history.ts";
import type { History } from "./history/history.ts";
import { nameChanges } from "./history/name_changes.ts";
import { PROJECT_ROOT } from "./plan/harness_digest.ts";

/** What {@linkcode buildNightlyResult} takes. */
interface NightlyResultInput {
  readonly run: NightlyRun;
  readonly jobs: readonly NightlyJob[];
  readonly history: History;
  /** Ids of the runs that this one is made of; they are no past. */
  readonly own: readonly string[];
  /** Whether the jobs are all that the matrix has. */
  readonly wholeMatrix: boolean;
}

const TREND_POINTS = 30;

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
    const now = { run: here, status: job.status, seconds: job.seconds, bytes: job.run?.bytes };
    const points = [...past.filter(({ status }) => status !== "missing"), now];
    trends[job.name] = points.slice(-TREND_POINTS).map(({ run, status, seconds, bytes }) => ({
      ...{ run, status, seconds },
      ...bytes && { bytes },
    }));
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

/** Jobs that the last nightly run of this matrix had and this one has not planned. */
function goneJobs({ run, jobs, history, own }: NightlyResultInput): NightlyChange[] {
  const last = history.lastPlan(run.matrix.path, own);
  const here = new Set(jobs.map(({ name }) => name));
  return (last?.jobs ?? []).filter((name) => !here.has(name)).map((job) => ({
    ...{ kind: "missing", job, changed: [], reproduce: `deno task nightly --only ${job}` },
    text: `run ${last!.run} had it, the matrix has it no more`,
  }));
}
