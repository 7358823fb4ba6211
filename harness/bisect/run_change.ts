// SPDX-License-Identifier: MIT

import type { JobRunner } from "../nightly/run/job_runner.ts";
import { NightDirectory } from "../nightly/run/run_directory.ts";
import type { NightTemp } from "../nightly/run/job_temp.ts";
import type { PlannedJob } from "../nightly/plan/planned_job.ts";
import { planJobs } from "../nightly/plan/plan_jobs.ts";
import { nameOfSuite } from "../nightly/plan/expand_matrix.ts";
import { runJobs } from "../nightly/run/run_jobs.ts";
import type { NightlyJob } from "../nightly/nightly_result.ts";
import type { BisectRequest } from "./bisect_request.ts";
import type { Change } from "./change_history.ts";

/** A tree that takes on the state of any change. */
export interface MovableTree {
  readonly path: string;
  moveTo(commit: string): Promise<void>;
}

/** What {@linkcode runChange} takes. */
export interface RunChangeOptions {
  readonly change: Change;
  readonly tree: MovableTree;
  /** Says how the suite is run on the kernel of the tree. */
  readonly plan: (change: Change) => Promise<PlannedJob>;
  readonly runner: JobRunner;
  /** For the files of the run. */
  readonly directory: string;
  readonly temp: NightTemp;
  readonly signal: AbortSignal;
  /** Told what is going on. */
  readonly onStage: (stage: string) => void;
}

/** What one run came to. */
export interface ChangeRun {
  readonly job: NightlyJob;
  readonly buildSeconds: number;
}

/**
 * Builds the kernel after a change and runs the suite on it, as a job of a night is run. A text says why it
 * was cut short.
 */
export async function runChange(options: RunChangeOptions): Promise<ChangeRun | string> {
  const { change, tree, plan, runner, temp, signal, onStage } = options;
  onStage("source");
  await tree.moveTo(change.id);
  if (signal.aborted) return String(signal.reason);
  const planned = await plan(change);
  const directory = new NightDirectory(options.directory);
  const { jobs: [job], stopped, buildSeconds } = await runJobs({
    ...{ jobs: [planned], finished: new Map(), durations: new Map(), slots: 1 },
    ...{ directory, temp, runner, signal },
    onFinish: () => {},
    onBuild: () => {},
    onChange: ({ running: [first] }) => onStage(first?.[0].startsWith("kernel of ") ? "building" : "running"),
  });
  await directory.removeUnfinished();
  return stopped ?? { job: job!, buildSeconds };
}

/** The job that a bisect runs on a tree. */
export async function planChange(
  { platform, flavour, suite, deadlineSeconds }: BisectRequest,
  { change, path }: { change: Change; path: string },
): Promise<PlannedJob> {
  const name = change.name.replaceAll(/[^\w.+-]/g, "-");
  const suiteName = nameOfSuite(suite);
  const [job] = await planJobs([{
    ...{ name: `${name}/${platform}/${flavour}/${suiteName}`, suite, suiteName, deadlineSeconds },
    on: { kernel: { kind: "directory", path, name }, platform, flavour },
  }]);
  const { command } = job!;
  // Repeating what failed is up to us.
  const once = suite.kind === "catalogue" && command.kind === "ckptest"
    ? { ...command, args: [...command.args, "--repeat", "0"] }
    : command;
  return { ...job!, command: once };
}
