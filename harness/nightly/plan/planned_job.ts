// SPDX-License-Identifier: MIT

import type { JobDigests } from "../nightly_result.ts";
import type { MatrixSuite } from "./matrix.ts";

/** Raised when what `plan.json` says changes its meaning. */
export const PLAN_SCHEMA = 1;

/** A job that is ready to run, or the reason why it cannot. */
export interface PlannedJob {
  readonly name: string;
  readonly kernel: string;
  readonly platform: string;
  readonly flavour: string;
  readonly suite: string;
  readonly suiteKind: MatrixSuite["kind"];
  readonly deadlineSeconds: number;
  /** Digest of all that decides the outcome; undefined when the job cannot be planned. */
  readonly digest?: string;
  readonly digests?: JobDigests;
  /** Why it cannot be planned. */
  readonly problem?: string;
  /** Names the kernel to be built first; jobs that have it in common share it. */
  readonly buildKey?: string;
  /** Arguments of ckptest that build the kernel; there when `buildKey` is. */
  readonly buildArgs?: readonly string[];
  /** The command that runs this job alone. */
  readonly reproduce: string;
  /** How it is run. */
  readonly command: JobCommand;
}

/** What runs a job: the command line of ckptest, or a test file. */
export type JobCommand =
  | { readonly kind: "ckptest"; readonly args: readonly string[]; readonly writesResults: boolean }
  | { readonly kind: "test"; readonly file: string; readonly permissions: string };

/** The file `plan.json` of a night: all jobs, and which of them this run is to do. */
export interface NightlyPlan {
  readonly schema: typeof PLAN_SCHEMA;
  /** Name of the run in the history. */
  readonly id: string;
  readonly started: string;
  readonly matrix: { readonly path: string; readonly digest: string };
  readonly shard?: { readonly index: number; readonly of: number };
  /** Whether the selected jobs are all that the matrix has: no `--only`, no `--filter`, no shard. */
  readonly whole: boolean;
  /** Every job of the matrix that was asked for, of all shards. */
  readonly jobs: readonly PlannedJob[];
  /** Names of those that this run is to do, in the plan's order. */
  readonly selected: readonly string[];
}
