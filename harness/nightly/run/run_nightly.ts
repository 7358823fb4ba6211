// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { isDiskFull } from "../../../vm/kernel/build/build_error.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { makeDirectory } from "../../../vm/host/temp_directory.ts";
import type { NightlyJob, NightlyPlan, NightlyResult } from "../nightly_result.ts";
import type { Terminal } from "../../report/terminal.ts";
import { buildNightlyResult, timeBreakdown } from "../build_nightly_result.ts";
import type { History } from "../history/history.ts";
import { TRIED_AGAIN } from "./judge_job.ts";
import { RunDirectory } from "./run_directory.ts";
import { type JobSettings, runJobs } from "./run_jobs.ts";
import { jobLine } from "../nightly_summary.ts";

/** What {@linkcode runNightly} takes. */
export interface RunNightlyOptions extends JobSettings {
  /** Id and time of start are those of the run that is resumed, if one is. */
  readonly plan: NightlyPlan;
  readonly directory: string;
  readonly resume: boolean;
  /** Whether to wait for the end of another run in the directory, in place of refusing to begin. */
  readonly wait?: boolean;
  readonly history: History;
  readonly terminal: Terminal;
  /** What planning took, which is part of the run. */
  readonly planSeconds?: number;
}

/**
 * Runs the selected jobs of a plan. Each finished job is kept at once, in the directory and in the history, so
 * that a kill at any moment loses what was running alone.
 *
 * @throws {UsageError} when another run works in the directory, when a nightly run lies there that is not to be
 * resumed, or none that is
 */
export async function runNightly(options: RunNightlyOptions): Promise<NightlyResult> {
  const { directory: path, wait = false, resume, terminal } = options;
  if (resume && !await new RunDirectory(path).readPlan()) {
    throw new UsageError(`there is no nightly run to resume in ${path}: it has no plan.json`);
  }
  await makeDirectory(path, "the run");
  const onWait = (holder: string): void => {
    if (wait) return terminal.note(`waiting for another run (process ${holder}) to leave ${path}`);
    throw new UsageError(`another run (process ${holder}) works in ${path}: name another place with --out`);
  };
  return await withFileLock(join(path, ".lock"), () => runLocked(options), { onWait });
}

async function runLocked(options: RunNightlyOptions): Promise<NightlyResult> {
  const begin = performance.now();
  const { history, resume, terminal, slots, planSeconds = 0 } = options;
  const directory = new RunDirectory(options.directory);
  const before = await directory.readPlan();
  if (before && !resume) {
    throw new UsageError(
      `${directory.path} holds a nightly run: go on with it (--resume), or name another place (--out)`,
    );
  }
  const plan = before ? { ...options.plan, id: before.id, started: before.started } : options.plan;
  await directory.removeUnfinished();
  await directory.writePlan(plan);
  history.beginRun(plan);
  // The directory has what the history lacks: --resume catches up on it.
  let told = false;
  const record = (write: () => void): void => {
    try {
      write();
    } catch (error) {
      if (!told) terminal.note(`the history is not complete: ${(error as Error).message}`);
      told = true;
    }
  };
  const jobs = plan.jobs.filter(({ name }) => plan.selected.includes(name));
  const finished = new Map<string, NightlyJob>();
  for (const { name, digest } of jobs) {
    const job = await directory.readJob(name);
    const keep = job && job.digest === digest && digest !== undefined &&
      !TRIED_AGAIN.has(job.failure?.kind ?? "test");
    if (!keep) continue;
    finished.set(name, { ...job, reused: true });
    // A kill may have come between the directory and the history.
    record(() => history.recordJob(plan.id, job));
  }
  if (finished.size > 0) terminal.result(`${finished.size} of ${jobs.length} jobs are finished`);
  const planning = planSeconds + (performance.now() - begin) / 1000;
  const outcome = await runJobs({
    ...{ ...options, jobs, finished, directory },
    onFinish: (job) => {
      record(() => history.recordJob(plan.id, job));
      if (!terminal.isQuiet || job.status !== "pass") terminal.result(jobLine(job, terminal));
    },
  });
  for (const job of outcome.jobs) if (job.status === "missing") record(() => history.recordJob(plan.id, job));
  const wall = planSeconds + (performance.now() - begin) / 1000;
  const { stopped, kernels } = outcome;
  const { id, started, matrix, shard, revision } = plan;
  const run = {
    ...{ id, started, matrix, shard, revision, slots, kernels, stopped },
    milliseconds: Math.round(wall * 1000),
    complete: stopped === undefined && outcome.jobs.every(({ status }) => status !== "missing"),
    spent: timeBreakdown({ ...outcome, wall, slots, planning }),
  };
  record(() => history.endRun(plan.id, run));
  const result = await buildNightlyResult({
    ...{ run, history, jobs: outcome.jobs, own: [plan.id] },
    wholeMatrix: plan.whole,
  });
  await directory.writeResult(result).catch((error: Error) => {
    // On a full disk the run was stopped for that: it is told below, and the finished jobs are there.
    if (stopped === undefined || !isDiskFull(error)) throw error;
    terminal.note(error.message);
  });
  return result;
}
