// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import type { JobRunner } from "../nightly/run/job_runner.ts";
import { NightTemp } from "../nightly/run/job_temp.ts";
import type { PlannedJob } from "../nightly/plan/planned_job.ts";
import type { Terminal } from "../report/terminal.ts";
import { BisectDirectory, type SavedBisect } from "./bisect_directory.ts";
import { BisectProgress } from "./bisect_progress.ts";
import { type BisectResult, buildBisectResult } from "./bisect_result.ts";
import type { BisectRun } from "./bisect_run.ts";
import type { Change, ChangeHistory } from "./change_history.ts";
import { judgeBisectRun } from "./judge_bisect_run.ts";
import { type BisectStanding, nextStep } from "./next_step.ts";
import { type MovableTree, runChange } from "./run_change.ts";

/** What {@linkcode runBisect} takes. */
export interface RunBisectOptions {
  readonly saved: SavedBisect;
  readonly history: ChangeHistory;
  readonly directory: BisectDirectory;
  readonly tree: MovableTree;
  readonly plan: (change: Change) => Promise<PlannedJob>;
  readonly runner: JobRunner;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** How a bisect ended. */
export interface BisectOutcome {
  readonly standing: BisectStanding;
  readonly result: BisectResult;
}

/**
 * Runs changes until the first bad one is known. What came of each run is kept at once, so that a kill at any
 * moment loses that one alone.
 *
 * @returns the outcome, or why it was stopped before its end.
 */
export async function runBisect(options: RunBisectOptions): Promise<BisectOutcome | string> {
  const { saved, history, directory, terminal, signal } = options;
  const { request, good, bad } = saved;
  const runs = [...saved.runs];
  await using temp = await NightTemp.make();
  using progress = new BisectProgress(terminal);
  for (;;) {
    const { confidence, maxRuns } = request;
    const standing = nextStep({ history, good, bad, runs, confidence, maxRuns });
    const { step } = standing;
    if (step.kind !== "run") {
      const ends = { good, bad };
      const changeOf = (id: string): Change => history.get(id);
      const changes = history.changes.length - 1;
      const result = buildBisectResult({ ...saved, runs, standing, changeOf, ends, changes });
      await directory.writeResult(result);
      return { standing, result };
    }
    if (signal.aborted) return String(signal.reason);
    const change = history.get(step.change);
    progress.begin(change, standing, runs);
    const run = await oneRun(options, { change, number: runs.length + 1, temp, progress });
    if (typeof run === "string") return run;
    runs.push(run);
    await directory.write({ ...saved, runs });
    progress.end(change, run, standing.failure);
  }
}

async function oneRun(
  { directory, tree, plan, runner, signal }: RunBisectOptions,
  { change, number, temp, progress }: {
    change: Change;
    number: number;
    temp: NightTemp;
    progress: BisectProgress;
  },
): Promise<BisectRun | string> {
  const begin = performance.now();
  const files = await directory.beginRun(number);
  const done = await runChange({
    ...{ change, tree, plan, runner, temp, signal },
    directory: join(directory.path, files),
    onStage: (stage) => progress.stage(stage),
  });
  if (typeof done === "string") return done;
  const seconds = (performance.now() - begin) / 1000;
  const inside = done.job.files === undefined ? files : `${files}/${done.job.files}`;
  return {
    ...{ change: change.id, ...judgeBisectRun(done.job), files: inside },
    seconds: Math.round(seconds * 10) / 10,
    buildSeconds: Math.round(done.buildSeconds * 10) / 10,
  };
}
