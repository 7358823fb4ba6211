// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { either, keysOf, list, object, oneOf, record } from "../../lib/schema.ts";
import type { FileFormat } from "../../vm/host/versioned_json.ts";
import { BYTES, MUTANT_COUNTS, NUMBER, RUN_RESULT, SCENARIO_COUNTS, TEXT } from "../run/run_result.ts";
import { SUITES } from "./plan/matrix.ts";

/** The commit of this project that ran, and the files that differ from it. */
export const REVISION = object({ commit: TEXT, edited: list(TEXT) });

/** What a plan knows of the run, and the run of its plan. */
const RUN_ENTRIES = {
  /** Name of the run in the history; sorts by the time it began. */
  id: TEXT,
  /** When it began, as Date.toISOString() writes it. */
  started: TEXT,
  matrix: object({ path: TEXT, digest: TEXT }),
  /** Which part of the plan this run was to do; undefined for all of it, and after a merge. */
  shard: v.optional(object({ index: NUMBER, of: NUMBER })),
  /** Undefined where the project is no git checkout, and after a merge. */
  revision: v.optional(REVISION),
};

const RUN = object({
  ...RUN_ENTRIES,
  milliseconds: NUMBER,
  /** Directories that a merge took together. */
  merged: v.optional(list(TEXT)),
  /** False when the run was stopped before its end: by the budget, by Ctrl-C, by a full disk. */
  complete: v.boolean("true or false"),
  stopped: v.optional(TEXT),
  /** How many kernels the jobs needed, and how they came by them; undefined after a merge. */
  kernels: v.optional(object({ built: NUMBER, cached: NUMBER, failed: NUMBER })),
  /** How many processes could run side by side; undefined after a merge. */
  slots: v.optional(NUMBER),
  /**
   * Seconds of these processes by what they were spent on: `planning`, `kernel builds`, `boots` of guests,
   * `scenarios`, `rest of the jobs`, the name of a suite that knows no scenarios, `jobs cut short`, `waiting`. The
   * sum is `milliseconds` times `slots`.
   */
  spent: record(v.string(), NUMBER),
});

/** Digests of what decides the outcome of a job, each under a name that a person knows. */
const DIGESTS = object({
  /** Kernel source; undefined for a ready kernel, whose file is `kernel`. */
  source: v.optional(TEXT),
  /** Overlay, hooks and edits. */
  patch: v.optional(TEXT),
  config: v.optional(TEXT),
  /** The whole kernel, compiler included. */
  kernel: v.optional(TEXT),
  /** The harness: its TypeScript, the guest's C, deno.json. */
  harness: TEXT,
  /** The scenarios, mutants or corruptions that the suite takes. */
  scenarios: TEXT,
  /** Options of the suite, and the versions of Deno and QEMU. */
  options: TEXT,
});

/** The names of these. */
export const DIGEST_NAMES: readonly (keyof JobDigests)[] = keysOf(DIGESTS.entries);

const JOB_STATUS = oneOf(["pass", "fail", "missing"]);

const FAILURE = object({
  /** `test` is a job that ran to its end and found something; in others the job failed as a whole. */
  kind: oneOf([
    ...["test", "plan", "build", "guest lost", "deadline", "nothing ran", "usage", "crash"] as const,
    "merge conflict",
  ]),
  exitStatus: v.optional(NUMBER),
  /** Last lines of what it wrote; the whole of it is in `log`. */
  logTail: list(TEXT),
  /** Path of the log, relative to the directory of `nightly.json`. */
  log: v.optional(TEXT),
});

/** What the plan knows of a job, one suite on one kernel. */
const JOB_ENTRIES = {
  /** `KERNEL/PLATFORM/FLAVOUR/SUITE`, such as `6.1/x86_64/debug/catalogue`. Unique in a plan. */
  name: TEXT,
  kernel: TEXT,
  platform: TEXT,
  flavour: TEXT,
  /** `catalogue`, `faults`, `fuzz-SEEDxCOUNT`, `mutants`, `corruptions`. */
  suite: TEXT,
  /** Digest of all that decides the outcome; undefined when the job cannot be planned. */
  digest: v.optional(TEXT),
  digests: v.optional(DIGESTS),
  /** The command that runs this job alone. */
  reproduce: TEXT,
};

/** A job of the plan, and how it ended; in `job.json` it lacks `run`. */
export const NIGHTLY_JOB = object({
  ...JOB_ENTRIES,
  status: JOB_STATUS,
  /** In a line: why it failed, or why it did not run. */
  reason: v.optional(TEXT),
  failure: v.optional(FAILURE),
  /** 0 when it did not run. */
  seconds: NUMBER,
  /** True when the result is of an earlier run with the same digest (`--resume`). */
  reused: v.boolean("true or false"),
  /** What the job's `results.json` says; undefined for suites without one and for jobs that failed early. */
  run: v.optional(RUN_RESULT),
  /** Directory of the job's files, relative to that of `nightly.json`; undefined when there is none. */
  files: v.optional(TEXT),
});

const REFERENCE = object({ id: TEXT, started: TEXT });

const CHANGED_DIGEST = object({
  name: oneOf(DIGEST_NAMES),
  before: v.optional(TEXT),
  after: v.optional(TEXT),
  /** Files (of `config`: options) that differ; undefined when the history does not have them. */
  files: v.optional(list(TEXT)),
  /** Commits of this project that changed these files, the latest first, as `HASH SUBJECT`. */
  commits: v.optional(list(TEXT)),
});

const CHANGE = object({
  /** How it differs from the runs before. */
  kind: oneOf(["new failure", "still failing", "flaky", "missing", "slower", "fixed", "conflict"]),
  job: TEXT,
  /** Undefined when the job as a whole is meant. */
  scenario: v.optional(TEXT),
  /** The first run in which it failed without a pass since: of `new failure` this one. */
  since: v.optional(REFERENCE),
  /** The last run in which it passed; undefined when none is known. */
  lastGood: v.optional(REFERENCE),
  /** What differs between `lastGood` and the run `since`, by name; empty when nothing does. */
  changed: list(CHANGED_DIGEST),
  /** Of `slower`. */
  duration: v.optional(object({ seconds: NUMBER, median: NUMBER, samples: NUMBER })),
  /** In a line, for people. */
  text: TEXT,
  /** The command that shows it. */
  reproduce: TEXT,
});

const TREND_POINT = object({
  ...{ run: REFERENCE, status: JOB_STATUS, seconds: NUMBER, bytes: v.optional(BYTES) },
  mutants: v.optional(MUTANT_COUNTS),
  /** Milliseconds of the scenarios that take the longest now. */
  scenarios: v.optional(record(v.string(), NUMBER)),
});

/** Raised when what `nightly.json` says changes its meaning. */
export const NIGHTLY_RESULT_SCHEMA = 1;

/**
 * The file of a nightly run, `nightly.json` in its directory: the jobs of its plan, how each ended, and how that
 * compares with the runs before. A merge of shards writes the same.
 */
export const NIGHTLY_RESULT = object({
  schema: v.literal(NIGHTLY_RESULT_SCHEMA, `${NIGHTLY_RESULT_SCHEMA}`),
  run: RUN,
  /** Jobs, not scenarios. Every job of the plan is in one of the three. */
  counts: object({ passed: NUMBER, failed: NUMBER, missing: NUMBER }),
  /** Scenarios of all jobs that have a RunResult. */
  scenarios: SCENARIO_COUNTS,
  /** Every job of the plan, in its order; those that did not run are there with the status `missing`. */
  jobs: list(NIGHTLY_JOB),
  /** What is not as in the last good run, the worst first; scenarios that pass as ever are not listed. */
  changes: list(CHANGE),
  /** Per job name its latest runs, oldest first and this one included: for trends. */
  trends: record(v.string(), list(TREND_POINT)),
});

/** What {@linkcode NIGHTLY_RESULT} lets through. */
export type NightlyResult = Readonly<v.InferOutput<typeof NIGHTLY_RESULT>>;
/** A nightly run as such. */
export type NightlyRun = Readonly<v.InferOutput<typeof RUN>>;
/** A job of the plan, and how it ended. */
export type NightlyJob = Readonly<v.InferOutput<typeof NIGHTLY_JOB>>;
/** Why a job failed. */
export type JobFailureKind = v.InferOutput<typeof FAILURE>["kind"];
/** What {@linkcode DIGESTS} lets through. */
export type JobDigests = Readonly<v.InferOutput<typeof DIGESTS>>;
/** A job, or one scenario of it, that is not as it was. */
export type NightlyChange = Readonly<v.InferOutput<typeof CHANGE>>;
/** How something differs from the runs before. */
export type ChangeKind = NightlyChange["kind"];
/** One of {@linkcode JobDigests} that is not what it was. */
export type ChangedDigest = Readonly<v.InferOutput<typeof CHANGED_DIGEST>>;
/** What {@linkcode REVISION} lets through. */
export type Revision = Readonly<v.InferOutput<typeof REVISION>>;
/** A run of the history. */
export type RunReference = Readonly<v.InferOutput<typeof REFERENCE>>;
/** A job in one run of the history. */
export type TrendPoint = Readonly<v.InferOutput<typeof TREND_POINT>>;

/** The format of `nightly.json`. */
export const NIGHTLY_RESULT_FORMAT: FileFormat<typeof NIGHTLY_RESULT> = {
  schema: NIGHTLY_RESULT,
  version: NIGHTLY_RESULT_SCHEMA,
};

const COMMAND = either(
  "a command",
  object({ kind: oneOf(["ckptest"]), args: list(TEXT), writesResults: v.boolean("true or false") }),
  object({ kind: oneOf(["test"]), file: TEXT }),
);

const PLANNED_JOB = object({
  ...JOB_ENTRIES,
  suiteKind: oneOf(SUITES),
  deadlineSeconds: NUMBER,
  problem: v.optional(TEXT),
  /** Names the kernel to be built first; jobs that have it in common share it. */
  buildKey: v.optional(TEXT),
  /** Arguments of ckptest that build the kernel; there when `buildKey` is. */
  buildArgs: v.optional(list(TEXT)),
  command: COMMAND,
});

/** Raised when what `plan.json` says changes its meaning. */
export const PLAN_SCHEMA = 1;

const PLAN = object({
  schema: v.literal(PLAN_SCHEMA, `${PLAN_SCHEMA}`),
  ...RUN_ENTRIES,
  /** Contents behind digests of jobs, as far as they have names: of files a short digest, of options the value. */
  inputs: v.optional(record(v.string(), record(v.string(), TEXT))),
  /** Whether the selected jobs are all that the matrix has: no `--only`, no `--filter`, no shard. */
  whole: v.boolean("true or false"),
  /** Every job of the matrix that was asked for, of all shards. */
  jobs: list(PLANNED_JOB),
  /** Names of those that this run is to do, in the plan's order. */
  selected: list(TEXT),
});

/** What runs a job: the command line of ckptest, or a test file. */
export type JobCommand = Readonly<v.InferOutput<typeof COMMAND>>;
/** A job that is ready to run, or the reason why it cannot. */
export type PlannedJob = Readonly<v.InferOutput<typeof PLANNED_JOB>>;
/** The file `plan.json` of a nightly run: all jobs, and which of them this run is to do. */
export type NightlyPlan = Readonly<v.InferOutput<typeof PLAN>>;

/** Contents by digest: name by name what each of them was made of. */
export type Inputs = NonNullable<NightlyPlan["inputs"]>;

/** The format of `plan.json`. */
export const PLAN_FORMAT: FileFormat<typeof PLAN> = { schema: PLAN, version: PLAN_SCHEMA };

/** A job of the plan with how it ended. */
export function endedJob(
  { name, kernel, platform, flavour, suite, digest, digests, reproduce }: PlannedJob,
  end: Pick<NightlyJob, "status"> & Partial<NightlyJob>,
): NightlyJob {
  const known = { name, kernel, platform, flavour, suite, digest, digests, reproduce };
  return { ...known, seconds: 0, reused: false, ...end };
}
