// SPDX-License-Identifier: MIT

import { basename, join } from "@std/path";
import { runCommand } from "../../../vm/host/run_command.ts";
import { RUN_RESULT_SCHEMA, type RunResult, type ScenarioRecord } from "../../run/run_result.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { type CommandOutcome, readOutcome } from "../../run/command_outcome.ts";
import type { JobEnd, JobPlace, JobRunner } from "../run/judge_job.ts";
import { type NightlyPlan, PLAN_SCHEMA, type PlannedJob } from "../nightly_result.ts";
import { digestOf } from "../../../vm/host/digest.ts";

/** What scripted jobs do, by name. */
export type FakeScript = Readonly<Record<string, FakeJob>>;

/** What one of them does. */
export interface FakeJob {
  /** Outcome of each scenario; without any it writes no results. */
  readonly scenarios?: Readonly<Record<string, ScenarioRecord["status"]>>;
  /** Its results, in place of those of scenarios. */
  readonly results?: RunResult;
  /** How long its process takes; it needs none when not given. */
  readonly seconds?: number;
  /** What it ends with; by default what the scenarios say. */
  readonly status?: number;
  /** What it prints. */
  readonly says?: string;
  /** Milliseconds that its scenarios claim to have taken. */
  readonly milliseconds?: number;
  /** Stands for its sources. */
  readonly patch?: string;
  /** The status that building its kernel ends with; it has no kernel of its own when not given. */
  readonly build?: number;
  /** Whether the kernel is found in the cache. */
  readonly cached?: boolean;
  /** What it tells the process that started it. */
  readonly told?: Omit<CommandOutcome, "status">;
  readonly deadlineSeconds?: number;
  /** Why it cannot be planned. */
  readonly problem?: string;
}

/** Gives a job, with what the script leaves out. */
async function fakeJob(name: string, job: FakeJob): Promise<PlannedJob> {
  const [kernel = "-", platform = "-", flavour = "-", suite = name] = name.split("/");
  const digests = {
    patch: job.patch ?? "p",
    kernel: `k-${job.patch ?? "p"}`,
    harness: "h",
    scenarios: "s",
    options: "o",
  };
  return {
    ...{ name, kernel, platform, flavour, suite, suiteKind: "catalogue" },
    deadlineSeconds: job.deadlineSeconds ?? 60,
    command: { kind: "ckptest", args: ["run"], writesResults: (job.scenarios ?? job.results) !== undefined },
    reproduce: `deno task nightly --only ${name}`,
    ...(job.build === undefined ? {} : { buildKey: `${kernel}-${platform}`, buildArgs: ["kernel"] }),
    ...(job.problem === undefined
      ? { digests, digest: await digestOf([name, ...Object.values(digests)]) }
      : { problem: job.problem }),
  };
}

/** A plan of scripted jobs. */
export async function fakePlan(
  script: FakeScript,
  options: {
    only?: readonly string[];
    id?: string;
    whole?: boolean;
    started?: string;
    shard?: { index: number; of: number };
    selected?: readonly string[];
  } = {},
): Promise<NightlyPlan> {
  const { only = [], shard } = options;
  const started = options.started ?? new Date().toISOString();
  const names = Object.keys(script).filter((name) => only.length === 0 || only.includes(name));
  return {
    schema: PLAN_SCHEMA,
    id: options.id ?? `${started}-${Deno.pid}`,
    started,
    whole: options.whole ?? shard === undefined,
    matrix: { path: "fake.json", digest: "m" },
    jobs: await Promise.all(names.map((name) => fakeJob(name, script[name]!))),
    selected: options.selected ?? names,
    ...(shard ? { shard } : {}),
  };
}

/** Runs scripted jobs, each of which does as it is told. */
export function fakeRunner(script: FakeScript): JobRunner {
  return {
    build: ({ name }, place) => {
      const { build: status = 0, cached = false, told } = script[name]!;
      const kernels = [{ platform: "x86_64", cached }];
      return end({ status, says: "built", told: { ...told, kernels } }, place);
    },
    run: ({ name }, place) => {
      const { scenarios, milliseconds, ...job } = script[name]!;
      const results = job.results ?? (scenarios && fakeRunResult(name, scenarios, milliseconds));
      const failed = Object.values(scenarios ?? {}).includes("fail") ? 1 : 0;
      return end({ status: failed, ...job, ...(results ? { results } : {}) }, place);
    },
  };
}

/**
 * As a job does: results and outcome come at its end, and whole; an error of its own leaves neither. What takes time is
 * a process, anything else needs none.
 */
async function end(
  { status = 0, seconds, says = "running", told, results }:
    & Pick<FakeJob, "status" | "seconds" | "says" | "told">
    & { results?: RunResult },
  { logPath, outcomePath, out, signal, tmp }: JobPlace,
): Promise<JobEnd> {
  const files = new Map<string, unknown>();
  if (results) files.set(join(out, "results.json"), results);
  if (status <= EXIT_STATUS.nothingRan) files.set(outcomePath, { schema: 1, status, ...told });
  if (seconds === undefined) {
    await Deno.writeTextFile(logPath, `${says}\n`, { append: true });
    for (const [path, value] of files) await Deno.writeTextFile(path, JSON.stringify(value));
    const end = { code: status, signal: null, seconds: 0.02, lines: says.split("\n") };
    return { ...end, outcome: await readOutcome(outcomePath) };
  }
  const moves: string[] = [];
  for (const [path, value] of files) {
    await Deno.writeTextFile(join(tmp, basename(path)), JSON.stringify(value));
    moves.push(`mv '${tmp}/${basename(path)}' '${path}'`);
  }
  const steps = [`echo "$0"`, `echo x >"${tmp}/left"`, `sleep ${seconds}`, ...moves, `exit ${status}`];
  const argv = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", steps.join("; "), says] as const;
  const result = await runCommand(argv, { logPath, signal, detached: true });
  return { ...result, outcome: await readOutcome(outcomePath) };
}

/** What `results.json` of a scripted job says. */
export function fakeRunResult(
  job: string,
  scenarios: NonNullable<FakeJob["scenarios"]>,
  milliseconds = 100,
): RunResult {
  const platform = job.split("/")[1] ?? "x86_64";
  const results = Object.entries(scenarios).map(([scenario, status]): ScenarioRecord => ({
    ...{ platform, scenario, status, milliseconds, findings: [], splats: [], stops: [] },
    reproduce: `deno task test:qemu --arch ${platform} --filter ${scenario}`,
  }));
  const count = (status: string): number => results.filter((one) => one.status === status).length;
  return {
    schema: RUN_RESULT_SCHEMA,
    started: "2026-01-01T00:00:00.000Z",
    milliseconds: 1000,
    kernels: [{ platform, name: "Linux 6.1", accelerator: "tcg" }],
    counts: { passed: count("pass"), failed: count("fail"), lost: count("lost"), skipped: count("skip") },
    bytes: { total: 100, predicted: 90, observed: 10, volatile: 0, unexplained: 0 },
    volatile: {},
    results,
  };
}
