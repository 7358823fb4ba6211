// SPDX-License-Identifier: MIT

import type { ByteCounts } from "../../lib/compare/byte_account.ts";
import type { RunResult } from "../run/run_result.ts";

/** Raised when what `nightly.json` of a result directory says changes its meaning. */
export const NIGHTLY_RESULT_SCHEMA = 1;

/**
 * The file of a night, `nightly.json` in its directory: the jobs of its plan, what came of each, and what that
 * is compared with the nights before. A merge of shards writes the same.
 */
export interface NightlyResult {
  readonly schema: typeof NIGHTLY_RESULT_SCHEMA;
  readonly run: NightlyRun;
  /** Jobs, not scenarios. Every job of the plan is in one of the three. */
  readonly counts: { readonly passed: number; readonly failed: number; readonly missing: number };
  /** Scenarios of all jobs that have a RunResult. */
  readonly scenarios: RunResult["counts"];
  /** Every job of the plan, in its order; those that did not run are there with the status `missing`. */
  readonly jobs: readonly NightlyJob[];
  /** What is not as in the last good run, the worst first; scenarios that pass as ever are not listed. */
  readonly changes: readonly NightlyChange[];
  /** Per job name its latest runs, oldest first and this one included: for trends. */
  readonly trends: Readonly<Record<string, readonly TrendPoint[]>>;
}

/** A night as such. */
export interface NightlyRun {
  /** Name of the run in the history; sorts by the time it began. */
  readonly id: string;
  /** When it began, as Date.toISOString() writes it. */
  readonly started: string;
  readonly milliseconds: number;
  /** The matrix file, and its digest. */
  readonly matrix: { readonly path: string; readonly digest: string };
  /** Which part of the plan this run was to do; undefined for all of it, and after a merge. */
  readonly shard?: { readonly index: number; readonly of: number };
  /** Directories that a merge took together. */
  readonly merged?: readonly string[];
  /** False when the run was stopped before its end: by the budget, by Ctrl-C, by a full disk. */
  readonly complete: boolean;
  /** Why it was stopped. */
  readonly stopped?: string;
  /** How many kernels the jobs needed, and how they came by them; undefined after a merge. */
  readonly kernels?: { readonly built: number; readonly cached: number; readonly failed: number };
  /** How many processes could run side by side; undefined after a merge. */
  readonly slots?: number;
  /**
   * Seconds of these processes by what they were spent on: `planning`, `kernel builds`, `boots` of guests,
   * `scenarios`, `rest of the jobs`, the name of a suite that knows no scenarios, `jobs cut short`, `waiting`. The
   * sum is `milliseconds` times `slots`.
   */
  readonly spent: Readonly<Record<string, number>>;
}

/** What became of a job. */
export type JobStatus = "pass" | "fail" | "missing";

/** Why a job failed as a whole. `test` is a job that ran to its end and found something. */
export type JobFailureKind =
  | "test"
  | "plan"
  | "build"
  | "guest lost"
  | "deadline"
  | "nothing ran"
  | "usage"
  | "crash"
  | "merge conflict";

/** A job of the plan: one suite on one kernel. */
export interface NightlyJob {
  /** `KERNEL/PLATFORM/FLAVOUR/SUITE`, such as `6.1/x86_64/debug/catalogue`. Unique in a plan. */
  readonly name: string;
  readonly kernel: string;
  readonly platform: string;
  readonly flavour: string;
  /** `catalogue`, `faults`, `fuzz-SEEDxCOUNT`, `mutants`, `corruptions`. */
  readonly suite: string;
  /** Digest of all that decides the outcome; undefined when the job could not be planned. */
  readonly digest?: string;
  readonly digests?: JobDigests;
  readonly status: JobStatus;
  /** In a line: why it failed, or why it did not run. */
  readonly reason?: string;
  readonly failure?: JobFailure;
  /** 0 when it did not run. */
  readonly seconds: number;
  /** True when the result is of an earlier run with the same digest (`--resume`). */
  readonly reused: boolean;
  /** What the job's `results.json` says; undefined for suites without one and for jobs that failed early. */
  readonly run?: RunResult;
  /** The command that runs this job alone. */
  readonly reproduce: string;
  /** Directory of the job's files, relative to that of `nightly.json`; undefined when there is none. */
  readonly files?: string;
}

/** Digests of what decides the outcome of a job, each under a name that a person knows. */
export interface JobDigests {
  /** Kernel source; undefined for a ready kernel, whose file is `kernel`. */
  readonly source?: string;
  /** Overlay, hooks and edits. */
  readonly patch?: string;
  readonly config?: string;
  /** The whole kernel, compiler included. */
  readonly kernel?: string;
  /** The harness: its TypeScript, the guest's C, deno.json. */
  readonly harness: string;
  /** The scenarios, planted errors or corruptions that the suite takes. */
  readonly scenarios: string;
  /** Options of the suite, and the versions of Deno and QEMU. */
  readonly options: string;
}

/** How a job failed. */
export interface JobFailure {
  readonly kind: JobFailureKind;
  readonly exitStatus?: number;
  /** Last lines of what it wrote; the whole of it is in `log`. */
  readonly logTail: readonly string[];
  /** Path of the log, relative to the directory of `nightly.json`. */
  readonly log?: string;
}

/** How something differs from the nights before. */
export type ChangeKind =
  | "new failure"
  | "still failing"
  | "flaky"
  | "missing"
  | "slower"
  | "fixed"
  | "conflict";

/** A run of the history. */
export interface RunReference {
  readonly id: string;
  readonly started: string;
}

/** A job, or one scenario of it, that is not as it was. */
export interface NightlyChange {
  readonly kind: ChangeKind;
  readonly job: string;
  /** Undefined when the job as a whole is meant. */
  readonly scenario?: string;
  /** The first run in which it failed without a pass since: of `new failure` this one. */
  readonly since?: RunReference;
  /** The last run in which it passed; undefined when none is known. */
  readonly lastGood?: RunReference;
  /** What differs between `lastGood` and the run `since`, by name; empty when nothing does. */
  readonly changed: readonly ChangedDigest[];
  /** Of `slower`. */
  readonly duration?: { readonly seconds: number; readonly median: number; readonly samples: number };
  /** In a line, for people. */
  readonly text: string;
  /** The command that shows it. */
  readonly reproduce: string;
}

/** One of {@linkcode JobDigests} that is not what it was. */
export interface ChangedDigest {
  readonly name: keyof JobDigests;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** A job in one run of the history. */
export interface TrendPoint {
  readonly run: RunReference;
  readonly status: JobStatus;
  readonly seconds: number;
  readonly bytes?: ByteCounts;
}
