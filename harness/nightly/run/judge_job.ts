// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../../../vm/host/errors.ts";
import type { JobFailureKind, NightlyJob } from "../nightly_result.ts";
import { readRunResult, type RunResult } from "../../run/run_result.ts";
import { RunDirectory } from "./run_directory.ts";
import { formatDuration } from "../../run/quantity.ts";
import { endedJob, type PlannedJob } from "../plan/planned_job.ts";
import type { JobEnd } from "./job_runner.ts";

/** Name of the file in a job's directory that holds all that it wrote. */
export const JOB_LOG = "log.txt";

const TAIL_LINES = 40;
const NAMES_SHOWN = 4;

interface JudgedEnd {
  readonly kind: JobFailureKind | undefined;
  readonly reason?: string;
  readonly run?: RunResult;
}

/** Reads what a process has told and left in its directory. */
export async function endOfJob(
  end: JobEnd,
  { out, hasResults = false, late = false, deadlineSeconds = 0 }: {
    out: string;
    hasResults?: boolean;
    late?: boolean;
    deadlineSeconds?: number;
  },
): Promise<JudgedEnd> {
  let [run, unread]: [RunResult | undefined, string | undefined] = [undefined, undefined];
  try {
    if (hasResults) run = await readRunResult(join(out, "results.json"));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    unread = error.message;
  }
  const results = run ? { run } : {};
  if (late) {
    const reason = `not at its end after ${formatDuration(deadlineSeconds)}`;
    return { kind: "deadline", reason, ...results };
  }
  const kind = failureKind(end, unread !== undefined);
  if (kind === undefined) return { kind, ...results };
  const missing = end.code === EXIT_STATUS.pass ? unread : undefined;
  return { kind, reason: missing ?? reasonOf(end, run) ?? `ended with status ${end.code}`, ...results };
}

/** What a job came to. */
export async function judgeJob(
  { job, end, directory, late }: { job: PlannedJob; end: JobEnd; directory: string; late: boolean },
): Promise<NightlyJob> {
  const { command, deadlineSeconds } = job;
  const hasResults = command.kind === "ckptest" && command.writesResults;
  const { kind, reason, run } = await endOfJob(end, { out: directory, hasResults, late, deadlineSeconds });
  const files = RunDirectory.filesOf(job.name);
  const base = { seconds: end.seconds, files, run };
  if (kind === undefined) return endedJob(job, { ...base, status: "pass" });
  const failure = failureOf(kind, end, `${files}/${JOB_LOG}`);
  return endedJob(job, { ...base, status: "fail", reason: reason!, failure });
}

/** A job whose kernel could not be built. */
export function unbuiltJob(job: PlannedJob, end: JobEnd, log: string): NightlyJob {
  const reason = reasonOf(end, undefined) ?? `status ${end.code}`;
  const files = RunDirectory.filesOf(job.name);
  return endedJob(job, { status: "fail", reason, failure: failureOf("build", end, log), files });
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

function failureOf(kind: JobFailureKind, end: JobEnd, log: string): NonNullable<NightlyJob["failure"]> {
  return { kind, exitStatus: end.code, logTail: end.lines.slice(-TAIL_LINES), log };
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
