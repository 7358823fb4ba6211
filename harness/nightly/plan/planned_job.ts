// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { either, list, object, oneOf, record } from "../../../lib/schema.ts";
import type { FileFormat } from "../../../vm/host/versioned_json.ts";
import { NUMBER, TEXT } from "../../run/run_result.ts";
import { JOB_ENTRIES, type NightlyJob, REVISION } from "../nightly_result.ts";
import { SUITES } from "./matrix.ts";

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
  /** Name of the run in the history. */
  id: TEXT,
  started: TEXT,
  matrix: object({ path: TEXT, digest: TEXT }),
  shard: v.optional(object({ index: NUMBER, of: NUMBER })),
  revision: v.optional(REVISION),
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
