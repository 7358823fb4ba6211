// SPDX-License-Identifier: MIT

import { firstWithin } from "../../../vm/host/deadline.ts";
import { join } from "@std/path";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { DISK_FULL_HINT, isDiskFull, isDiskNearlyFull } from "../../../vm/kernel/build/build_error.ts";
import { endedJob, type NightlyJob, type PlannedJob } from "../nightly_result.ts";
import { JOB_LOG, type JobEnd, type JobRunner, JobTemp, judgeJob, unbuiltJob } from "./judge_job.ts";
import type { RunDirectory } from "./run_directory.ts";
import { INTERRUPT_SIGNALS } from "../../run/on_interrupt.ts";
import { formatDuration } from "../../run/quantity.ts";
import { expectedSeconds } from "../plan/job_durations.ts";
import type { Terminal } from "../../report/terminal.ts";

/** How jobs are run. */
export interface JobSettings {
  readonly runner: JobRunner;
  readonly slots: number;
  /** Seconds that jobs took before, by name. */
  readonly durations: ReadonlyMap<string, number>;
  readonly budgetSeconds?: number | undefined;
  /** Stops the run; its reason says why. */
  readonly signal: AbortSignal;
}

interface RunJobsOptions extends JobSettings {
  readonly jobs: readonly PlannedJob[];
  readonly finished: ReadonlyMap<string, NightlyJob>;
  readonly directory: RunDirectory;
  /** Told of each job that ends, or will not run. */
  readonly onFinish: (job: NightlyJob) => void;
  readonly terminal: Terminal;
}

interface JobsOutcome {
  /** One for each job, in their order. */
  readonly jobs: readonly NightlyJob[];
  readonly stopped: string | undefined;
  readonly builds: number;
  readonly kernels: { readonly built: number; readonly cached: number; readonly failed: number };
  /** Spent on jobs that were ended before they were finished. */
  readonly cutShort: number;
}

/** Runs jobs side by side; kernels are built one at a time, each before its jobs. */
export async function runJobs(options: RunJobsOptions): Promise<JobsOutcome> {
  await using temp = await JobTemp.make();
  return await new JobScheduler(options, temp).run();
}

const MAX_TIMEOUT_MS = 0x7fff_ffff;
/** Signals that come from outside: we end a job by SIGKILL. */
const ASKS_TO_END: ReadonlySet<string> = new Set(INTERRUPT_SIGNALS);
/** How much later than a job's ours may come. */
const OUR_SIGNAL_MS = 2000;

class JobScheduler {
  readonly #options: RunJobsOptions;
  readonly #temp: JobTemp;
  readonly #done: Map<string, NightlyJob>;
  readonly #running = new Map<string, { since: number; work: Promise<void> }>();
  readonly #begin = performance.now();
  /** Kernels that are built, with how that ended. */
  readonly #built = new Map<string, { result: JobEnd; log: string }>();
  readonly #stop = new AbortController();
  #waiting: PlannedJob[];
  #isBuilding = false;
  #buildSeconds = 0;
  #cutSeconds = 0;
  #stopped: string | undefined;
  #error: unknown;

  constructor(options: RunJobsOptions, temp: JobTemp) {
    this.#options = options;
    this.#temp = temp;
    this.#waiting = options.jobs.filter(({ name }) => !options.finished.has(name));
    this.#done = new Map(options.finished);
  }

  async run(): Promise<JobsOutcome> {
    const { signal, jobs } = this.#options;
    const stop = (): void => this.#halt(String(signal.reason));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    const timer = setInterval(() => this.#show(), 1000);
    try {
      for (;;) {
        while (await this.#startOne());
        this.#show();
        if (this.#running.size === 0) break;
        await Promise.race([...this.#running.values()].map(({ work }) => work));
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      signal.removeEventListener("abort", stop);
      await Promise.all([...this.#running.values()].map(({ work }) => work));
      clearInterval(timer);
      this.#options.terminal.clearStatus();
    }
    if (this.#error !== undefined) throw this.#error;
    const reason = this.#stopped ?? "not started";
    return {
      jobs: jobs.map((job) => this.#done.get(job.name) ?? endedJob(job, { status: "missing", reason })),
      stopped: this.#stopped,
      builds: this.#buildSeconds,
      cutShort: this.#cutSeconds,
      kernels: this.#countKernels(),
    };
  }

  /** Starts or ends one job, or starts one build. False when nothing can be done now. */
  async #startOne(): Promise<boolean> {
    if (this.#stopped !== undefined || this.#running.size >= this.#options.slots) return false;
    for (const job of this.#waiting) {
      const ended = this.#endWithoutRun(job);
      const needsBuild = job.buildKey !== undefined && !this.#built.has(job.buildKey);
      // The kernel with all mutants is built by the command itself.
      const builds = needsBuild || job.suiteKind === "mutants";
      if (!ended && builds && this.#isBuilding) continue;
      if (ended || !needsBuild) this.#waiting = this.#waiting.filter((other) => other !== job);
      if (ended) await this.#finish(ended);
      else if (needsBuild) this.#start(`kernel of ${job.name}`, () => this.#build(job, job.buildKey!), true);
      else this.#start(job.name, () => this.#runJob(job), builds);
      return true;
    }
    return false;
  }

  /** A job that cannot be run: it has no plan, no time or no kernel. */
  #endWithoutRun(job: PlannedJob): NightlyJob | undefined {
    if (job.digest === undefined) {
      const logTail = (job.problem ?? "it has no digest").split("\n");
      return endedJob(job, { status: "fail", reason: logTail[0]!, failure: { kind: "plan", logTail } });
    }
    const reason = this.#overBudget(job);
    if (reason !== undefined) return endedJob(job, { status: "missing", reason });
    const build = this.#built.get(job.buildKey ?? "");
    return build && build.result.code !== 0 ? unbuiltJob(job, build.result, build.log) : undefined;
  }

  #start(name: string, work: () => Promise<void>, builds: boolean): void {
    if (builds) this.#isBuilding = true;
    const guarded = async (): Promise<void> => {
      try {
        await work();
      } catch (error) {
        this.#fail(error);
      } finally {
        if (builds) this.#isBuilding = false;
        this.#running.delete(name);
      }
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#running.set(name, { since: performance.now(), work: promise });
    guarded().then(resolve);
    this.#show();
  }

  async #build(job: PlannedJob, key: string): Promise<void> {
    const { directory, runner } = this.#options;
    const log = await directory.buildLog(key);
    const logPath = join(directory.path, log);
    const place = { out: directory.path, logPath, outcomePath: logPath.replace(/\.log$/, ".json") };
    const { signal } = this.#stop;
    const result = await this.#temp.with((tmp) => runner.build(job, { ...place, tmp, signal }));
    this.#buildSeconds += result.seconds;
    if (await this.#cutShort(result) || signal.aborted) return;
    if (result.code !== 0 && await this.#diskFull()) return;
    this.#built.set(key, { result, log });
  }

  #countKernels(): JobsOutcome["kernels"] {
    const counts = { built: 0, cached: 0, failed: 0 };
    for (const { result: { code, outcome } } of this.#built.values()) {
      const cached = outcome?.kernels?.every(({ cached }) => cached) === true;
      counts[code !== 0 ? "failed" : cached ? "cached" : "built"]++;
    }
    return counts;
  }

  async #runJob(job: PlannedJob): Promise<void> {
    const { directory } = this.#options;
    try {
      const judged = await this.#judge(job);
      if (judged) await this.#finish(judged);
    } finally {
      if (!this.#done.has(job.name)) {
        this.#waiting.push(job);
        await directory.dropJob(job.name);
      }
    }
  }

  /** Runs a job to its end; undefined when it was cut short. */
  async #judge(job: PlannedJob): Promise<NightlyJob | undefined> {
    const { directory, runner } = this.#options;
    const out = await directory.beginJob(job.name);
    const deadline = AbortSignal.timeout(Math.min(job.deadlineSeconds * 1000, MAX_TIMEOUT_MS));
    const signal = AbortSignal.any([deadline, this.#stop.signal]);
    const place = { out, logPath: join(out, JOB_LOG), outcomePath: join(out, "outcome.json") };
    const result = await this.#temp.with((tmp) => runner.run(job, { ...place, tmp, signal }));
    const judged = await this.#cutShort(result)
      ? undefined
      : await judgeJob({ job, end: result, directory: out, late: deadline.aborted });
    const suspect = judged?.status === "fail" && judged.failure?.kind !== "test";
    if (judged && !(suspect && await this.#diskFull())) return judged;
    this.#cutSeconds += result.seconds;
    return undefined;
  }

  /**
   * Whether a process came to its end because the run does. A batch system sends its signal to every process
   * of a job at once, so that ours may come a moment later.
   */
  async #cutShort({ signal, outcome }: JobEnd): Promise<boolean> {
    const { signal: stop } = this.#stop;
    const wasInterrupted = outcome?.status === EXIT_STATUS.interrupted;
    const wasAsked = wasInterrupted || (signal !== null && ASKS_TO_END.has(signal));
    if (wasAsked && !stop.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      stop.addEventListener("abort", () => resolve(), { once: true });
      await firstWithin(OUR_SIGNAL_MS, [promise]);
    }
    return stop.aborted && (wasInterrupted || signal !== null);
  }

  async #finish(job: NightlyJob): Promise<void> {
    if (job.status !== "missing") await this.#options.directory.finishJob(job);
    this.#done.set(job.name, job);
    this.#options.onFinish(job);
  }

  #overBudget({ name }: PlannedJob): string | undefined {
    const { budgetSeconds, durations } = this.#options;
    if (budgetSeconds === undefined) return undefined;
    const left = budgetSeconds - (performance.now() - this.#begin) / 1000;
    // A job that never ran counts as the middle of the others; where none ran, it is tried.
    const needs = expectedSeconds(name, durations) ?? 0;
    if (left > 0 && needs <= left) return undefined;
    const of = `the budget of ${formatDuration(budgetSeconds)}`;
    return left <= 0
      ? `not started: ${of} was used up`
      : `not started: ${of} had ${formatDuration(left)} left, ` +
        `${durations.has(name) ? "it takes" : "and it may take"} ${formatDuration(needs)}`;
  }

  /** Stops the run when the disk is full: what fails then says nothing. */
  async #diskFull(): Promise<boolean> {
    if (!await isDiskNearlyFull(this.#options.directory.path)) return false;
    this.#halt(DISK_FULL_HINT);
    return true;
  }

  /** A full disk ends the run as a signal does; any other error is thrown when nothing runs any more. */
  #fail(error: unknown): void {
    if (isDiskFull(error)) return this.#halt(DISK_FULL_HINT);
    this.#error ??= error;
    this.#halt((error as Error).message);
  }

  #halt(reason: string): void {
    this.#stopped ??= reason;
    this.#stop.abort();
  }

  /** A line that is written over on a terminal, a line for each job that starts elsewhere. */
  #show(): void {
    const { jobs, slots, durations, terminal } = this.#options;
    const done = [...this.#done.values()];
    const state = {
      total: jobs.length,
      done: done.length,
      failed: done.filter(({ status }) => status === "fail").length,
      running: new Map([...this.#running].map(([name, { since }]) => [name, since])),
      waiting: this.#waiting.map(({ name }) => name),
      slots,
    };
    if (state.running.size === 0) return;
    terminal.status(progressLine(state, durations, performance.now()), [...state.running.keys()].join(", "));
  }
}

interface RunState {
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  /** Names of jobs, and since when (performance.now()). */
  readonly running: ReadonlyMap<string, number>;
  readonly waiting: readonly string[];
  readonly slots: number;
}

/** The status line. */
export function progressLine(state: RunState, durations: ReadonlyMap<string, number>, now: number): string {
  const running = [...state.running.keys()];
  const left = secondsLeft(state, durations, now);
  const counts = [
    `nightly: ${state.done} of ${state.total} jobs done`,
    `${state.failed} failed`,
    `${running.length} running`,
    left === undefined ? "time left not known" : `about ${formatDuration(left)} left`,
  ].join(", ");
  // The names come last: a narrow terminal cuts the line there.
  return `${counts}: ${running.join(", ")}`;
}

/**
 * How long the rest takes, by what jobs took before; one that never ran counts as the middle of the others.
 * Undefined when none ever ran.
 */
export function secondsLeft(
  { running, waiting, slots }: Pick<RunState, "running" | "waiting" | "slots">,
  durations: ReadonlyMap<string, number>,
  now: number,
): number | undefined {
  if (durations.size === 0) return undefined;
  const whole = (name: string): number => expectedSeconds(name, durations) ?? 0;
  const rest = [...running].map(([name, since]) => Math.max(whole(name) - (now - since) / 1000, 1));
  const all = [...rest, ...waiting.map(whole)];
  const sum = all.reduce((total, seconds) => total + seconds, 0);
  return Math.max(sum / slots, ...all, 0);
}
