// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { EXIT_STATUS, type ExitStatus } from "../../../vm/host/errors.ts";
import type { JobFailureKind, NightlyJob } from "../nightly_result.ts";
import type { RunResult } from "../../run/run_result.ts";
import { describeJob, NightDirectory } from "./run_directory.ts";
import { formatDuration } from "../plan/parse_quantity.ts";
import type { PlannedJob } from "../plan/planned_job.ts";
import { readRunResult } from "../../run/read_run_result.ts";
import type { JobEnd } from "./job_runner.ts";

/** Name of the file in a job's directory that holds all that it wrote. */
export const JOB_LOG = "log.txt";

const TAIL_LINES = 40;
const NAMES_SHOWN = 4;

/** A job that came to its end. */
export interface EndedJob {
  readonly job: PlannedJob;
  readonly result: JobEnd;
  /** Directory with its files. */
  readonly directory: string;
  /** True when it was ended because it took too long. */
  readonly late: boolean;
}

/** What became of a job. */
export async function judgeJob({ job, result, directory, late }: EndedJob): Promise<NightlyJob> {
  const files = NightDirectory.filesOf(job.name);
  const base = { ...describeJob(job), seconds: result.seconds, reused: false, files };
  const hasResults = job.command.kind === "ckptest" && job.command.writesResults;
  const read = hasResults ? await readRunResult(join(directory, "results.json")) : undefined;
  const run = typeof read === "string" ? undefined : read;
  const withRun = run ? { ...base, run } : base;
  const unread = typeof read === "string" ? read : undefined;
  const kind = late ? "deadline" : failureKind(result, unread !== undefined);
  if (kind === undefined) return { ...withRun, status: "pass" };
  const reason = late
    ? `not at its end after ${formatDuration(job.deadlineSeconds)}`
    : (kind === "crash" && result.code === EXIT_STATUS.pass ? unread : undefined) ?? reasonOf(result, run) ??
      `ended with status ${result.code}`;
  return {
    ...withRun,
    status: "fail",
    reason,
    failure: {
      kind,
      exitStatus: result.code,
      logTail: result.lines.slice(-TAIL_LINES),
      log: `${files}/${JOB_LOG}`,
    },
  };
}

/** A job whose kernel could not be built. */
export function unbuiltJob(job: PlannedJob, result: JobEnd, log: string): NightlyJob {
  return {
    ...describeJob(job),
    status: "fail",
    reason: reasonOf(result, undefined) ?? `status ${result.code}`,
    failure: { kind: "build", exitStatus: result.code, logTail: result.lines.slice(-TAIL_LINES), log },
    seconds: 0,
    reused: false,
    files: NightDirectory.filesOf(job.name),
  };
}

/** A job that could not be planned. */
export function unplannedJob(job: PlannedJob): NightlyJob {
  const { problem = "it has no digest" } = job;
  const logTail = problem.split("\n");
  return {
    ...{ ...describeJob(job), status: "fail", reason: logTail[0]! },
    ...{ failure: { kind: "plan", logTail }, seconds: 0, reused: false },
  };
}

/** Failures that say something of the machine, not of the kernel: `--resume` tries those jobs again. */
export const TRIED_AGAIN: ReadonlySet<JobFailureKind> = new Set([
  "build",
  "crash",
  "nothing ran",
  "plan",
  "usage",
]);

const KINDS: Readonly<Record<ExitStatus, JobFailureKind | undefined>> = {
  [EXIT_STATUS.pass]: undefined,
  [EXIT_STATUS.testFailed]: "test",
  [EXIT_STATUS.usage]: "usage",
  [EXIT_STATUS.buildFailed]: "build",
  [EXIT_STATUS.guestLost]: "guest lost",
  [EXIT_STATUS.nothingRan]: "nothing ran",
  [EXIT_STATUS.internalError]: "crash",
  [EXIT_STATUS.interrupted]: "crash",
  [EXIT_STATUS.brokenPipe]: "crash",
};

/** Undefined for a job that passed. One that left no outcome, or no results where it should have, crashed. */
function failureKind({ outcome }: JobEnd, lacksResults: boolean): JobFailureKind | undefined {
  if (outcome === undefined) return "crash";
  const kind = KINDS[outcome.status];
  return lacksResults && (kind === undefined || kind === "test") ? "crash" : kind;
}

/** What says most: the scenarios that failed, what the job told us, or the end of its log. */
function reasonOf({ lines, signal, outcome }: JobEnd, run: RunResult | undefined): string | undefined {
  const bad = run?.results.filter(({ status }) => status === "fail" || status === "lost") ?? [];
  if (bad.length > 0) {
    const names = bad.slice(0, NAMES_SHOWN).map(({ scenario }) => scenario).join(", ");
    const more = bad.length > NAMES_SHOWN ? " ..." : "";
    return `${bad.length} of ${run!.results.length} scenarios failed: ${names}${more}`;
  }
  if (signal !== null) return `ended by ${signal}`;
  return outcome?.problem?.split("\n", 1)[0] ?? outcome?.findings?.[0]?.text ??
    lines.findLast((line) => line.trim() !== "")?.trim();
}
