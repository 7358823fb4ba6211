// SPDX-License-Identifier: MIT

import { delay } from "../../../vm/host/deadline.ts";
import { join } from "@std/path";
import { EXIT_STATUS, type ExitStatus, ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { endedJob, type JobFailureKind, type NightlyJob, type PlannedJob } from "../nightly_result.ts";
import { readRunResult, type RunResult } from "../../run/run_result.ts";
import { RunDirectory } from "./run_directory.ts";
import { formatDuration, someNames } from "../../run/quantity.ts";
import { findTool } from "../../../vm/host/find_tool.ts";
import { type CommandResult, runCommand } from "../../../vm/host/run_command.ts";
import { type CommandOutcome, readOutcome } from "../../run/command_outcome.ts";
import { PROJECT_ROOT } from "../plan/harness_digest.ts";

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
    const names = someNames(bad.map(({ scenario }) => scenario), NAMES_SHOWN);
    return `${bad.length} of ${run!.results.length} scenarios failed: ${names}`;
  }
  if (signal !== null) return `ended by ${signal}`;
  return outcome?.problem?.split("\n", 1)[0] ?? outcome?.findings?.[0]?.text ??
    lines.findLast((line) => line.trim() !== "")?.trim();
}

/** Where a job runs. */
export interface JobPlace {
  readonly out: string;
  readonly logPath: string;
  readonly outcomePath: string;
  /** Directory for temporary files; removed after it. */
  readonly tmp: string;
  readonly signal: AbortSignal;
}

/** How the process of a job ended. */
export interface JobEnd extends CommandResult {
  /** What it told us; undefined when it was killed. */
  readonly outcome: CommandOutcome | undefined;
}

type RunnableJob = Pick<PlannedJob, "name" | "command" | "buildArgs">;

/** Runs jobs, each in a process of its own that dies with this one. */
export interface JobRunner {
  build(job: RunnableJob, place: JobPlace): Promise<JobEnd>;
  run(job: RunnableJob, place: JobPlace): Promise<JobEnd>;
}

/** Runs jobs by the command line of this very ckptest. */
export const CKPTEST_RUNNER: JobRunner = {
  build: ({ buildArgs = [] }, place) => runCkptest(buildArgs, place),
  run: ({ command }, place) => {
    if (command.kind === "test") return runTests(command.file, place);
    // Jobs run side by side: each has one guest at a time.
    const jobs = ["run", "mutants"].includes(command.args[0] ?? "") ? ["--jobs", "1"] : [];
    const out = command.writesResults ? ["--out", place.out] : [];
    return runCkptest([...command.args, ...jobs, ...out], place);
  },
};

/** Variables of ours that a job needs beside those of every program. */
const PASSED_ON = ["CCACHE_DIR", "CI", "DENO_DIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"];
const CONFIG = `--config=${join(PROJECT_ROOT, "deno.json")}`;

async function runCkptest(args: readonly string[], place: JobPlace): Promise<JobEnd> {
  const main = join(PROJECT_ROOT, "harness", "cli", "main.ts");
  const { outcomePath } = place;
  const result = await runChild(["run", "-q", "-P=vm", main, "--outcome", outcomePath, ...args], place);
  return { ...result, outcome: await readOutcome(outcomePath) };
}

const FAILED_TEST = /<testcase name="([^"]*)"[^>]*>\s*<(?:failure|error)\b/g;

async function runTests(file: string, place: JobPlace): Promise<JobEnd> {
  const path = join(place.out, "junit.xml");
  const result = await runChild(["test", "-q", "--no-check", "-P=test", `--junit-path=${path}`, file], place);
  const report = await Deno.readTextFile(path).catch(() => undefined);
  if (report === undefined) return { ...result, outcome: undefined };
  const [first, ...more] = [...report.matchAll(FAILED_TEST)].map(([, name]) => name);
  if (first === undefined) return { ...result, outcome: { status: EXIT_STATUS.pass } };
  const problem = `the test "${first}" failed${more.length > 0 ? `, and ${more.length} more` : ""}`;
  return { ...result, outcome: { status: EXIT_STATUS.testFailed, problem } };
}

async function runChild(
  [command, ...args]: readonly [string, ...string[]],
  { logPath, tmp, signal }: JobPlace,
): Promise<CommandResult> {
  const deno = await findTool("deno") ?? Deno.execPath();
  const env = Object.fromEntries(
    PASSED_ON.map((name) => [name, Deno.env.get(name)]).filter(([, value]) => value !== undefined),
  );
  return await runCommand(["setpriv", "--pdeathsig", "KILL", deno, command, CONFIG, ...args], {
    cwd: PROJECT_ROOT,
    env: { ...env, NO_COLOR: "1", TMPDIR: tmp },
    logPath,
    signal,
    detached: true,
    keepLines: 200,
  });
}

const PREFIX = "ckptest-jobs-";
const LOCK = ".lock";
/** Between making a directory and locking it. */
const YOUNG_MS = 60_000;

/**
 * A directory for the temporary files of all jobs of a nightly run. It is locked meanwhile: what a killed
 * one left behind is found by that and removed by the next.
 */
export class JobTemp implements AsyncDisposable {
  readonly path: string;
  readonly #lock: Deno.FsFile;

  /** Use {@linkcode JobTemp.make}. */
  constructor(path: string, lock: Deno.FsFile) {
    this.path = path;
    this.#lock = lock;
  }

  /** Makes one below `base`, where `TMPDIR` says or in /tmp. */
  static async make(base: string = Deno.env.get("TMPDIR") ?? "/tmp"): Promise<JobTemp> {
    await removeAbandoned(base).catch((error) => {
      throw new ExpectedError(`no temporary directory below TMPDIR (${base}): ${error.message}`);
    });
    const path = await Deno.makeTempDir({ dir: base, prefix: PREFIX });
    const lock = await Deno.open(join(path, LOCK), { write: true, create: true });
    await lock.lock(true);
    return new JobTemp(path, lock);
  }

  /** Runs work with a directory of its own, and removes that. */
  async with<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = await Deno.makeTempDir({ dir: this.path });
    try {
      return await work(directory);
    } finally {
      await removeStubbornly(directory);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeStubbornly(this.path);
    this.#lock.close();
  }
}

/** What a killed job started may end, and write, a moment later. */
async function removeStubbornly(directory: string): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const error = await Deno.remove(directory, { recursive: true }).catch((error: Error) => error);
    if (error === undefined || error instanceof Deno.errors.NotFound) return;
    await delay(50);
  }
}

async function removeAbandoned(base: string): Promise<void> {
  for await (const { name } of Deno.readDir(base)) {
    if (!name.startsWith(PREFIX)) continue;
    const path = join(base, name);
    try {
      const { mtime, uid } = await Deno.stat(path);
      if (uid !== Deno.uid() || Date.now() - (mtime?.getTime() ?? 0) < YOUNG_MS) continue;
      using lock = await Deno.open(join(path, LOCK), { write: true, create: true });
      if (await lock.tryLock(true)) await Deno.remove(path, { recursive: true });
    } catch {
      // Another nightly run removes it at the same time.
    }
  }
}
