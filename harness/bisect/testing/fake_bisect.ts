// SPDX-License-Identifier: MIT
/**
 * A bisect over a real repository with a function in place of kernels, also as a program that can be killed and run
 * again:
 *
 *     fake_bisect.ts REPOSITORY GOOD BAD DIRECTORY CACHE
 *
 * @module
 */
import { join } from "@std/path";
import { EXIT_STATUS, type ExitStatus } from "../../../vm/host/errors.ts";
import { writeOutcome } from "../../../harness/run/command_outcome.ts";
import type { JobEnd, JobPlace, JobRunner } from "../../nightly/run/judge_job.ts";
import { fakeRunResult } from "../../nightly/testing/fake_jobs.ts";
import { Terminal } from "../../report/terminal.ts";
import type { ScenarioRecord } from "../../run/run_result.ts";
import { type BisectAnswer, type BisectRequest, readBisectState, writeBisectState } from "../bisect_state.ts";
import { prepareBisect, withBisectTree } from "../prepare_bisect.ts";
import { runBisect } from "../run_bisect.ts";

/** What a run of the kernel comes to, by the contents of the tree's file `state`. */
export type FakeKernel = (state: string, nth: number) => "unbuilt" | Partial<ScenarioRecord>;

/** The file `state` says it: `unbuilt`, or what becomes of the only scenario. */
export function plainKernel(state: string): ReturnType<FakeKernel> {
  if (state === "unbuilt") return "unbuilt";
  return state === "fail" ? { status: "fail", findings: [FINDING] } : { status: state as "pass" };
}

/** The finding of a failure. */
export const FINDING = {
  id: "E_ONE",
  verdict: "mismatch",
  path: "task[0]",
  message: "one is wrong",
} as const;

/** A runner that needs no process. */
export function fakeKernelRunner(kernel: FakeKernel = plainKernel): JobRunner {
  const times = new Map<string, number>();
  return {
    build: () => Promise.reject(new Error("runs build what they need")),
    async run({ command }, place) {
      if (command.kind === "test") throw new Error("no command of ckptest");
      const tree = command.args[command.args.indexOf("--kernel-tree") + 1]!;
      const state = (await Deno.readTextFile(join(tree, "state"))).trim();
      const change = await Deno.readTextFile(join(tree, "index"));
      const nth = times.get(change) ?? 0;
      times.set(change, nth + 1);
      const record = kernel(state, nth);
      if (record === "unbuilt") return await end(place, EXIT_STATUS.buildFailed, "no rule to make it");
      const result = fakeRunResult("linux/x86_64/plain/catalogue", { one: record.status ?? "pass" });
      const results = [{ ...result.results[0]!, ...record }];
      await Deno.writeTextFile(join(place.out, "results.json"), JSON.stringify({ ...result, results }));
      return await end(place, record.status === "fail" ? EXIT_STATUS.testFailed : EXIT_STATUS.pass);
    },
  };
}

async function end({ outcomePath }: JobPlace, status: ExitStatus, problem?: string): Promise<JobEnd> {
  const outcome = { status, ...problem !== undefined && { problem } };
  await writeOutcome(outcomePath, outcome);
  return { code: status, signal: null, seconds: 0.1, lines: [], outcome };
}

/** How a bisect differs from a plain one. */
export interface FakeBisectOptions {
  readonly repository: string;
  readonly good: string;
  readonly bad: string;
  /** The bisect's directory; when one lies there, it goes on. */
  readonly path: string;
  readonly cacheDir: string;
  readonly request?: Partial<BisectRequest>;
  readonly kernel?: FakeKernel;
  readonly runner?: JobRunner;
  readonly terminal?: Terminal;
  readonly signal?: AbortSignal;
}

/** Begins or resumes a bisect, and prints its end. */
export async function fakeBisect(options: FakeBisectOptions): Promise<BisectAnswer> {
  const { repository, good, bad, path, cacheDir, terminal = new Terminal() } = options;
  const before = await readBisectState(path);
  const request: BisectRequest = {
    source: { kind: "git", repository, good, bad, firstParent: false },
    ...{ platform: "x86_64", flavour: "plain", suite: { kind: "catalogue", filter: [] } },
    ...{ confidence: 0.99, maxRuns: 30, deadlineSeconds: 60 },
    ...options.request,
  };
  const { ends, tree } = await prepareBisect(request.source, before, { directory: path, cacheDir });
  const state = { options: [], ...ends, runs: before?.runs ?? [] };
  await Deno.mkdir(path, { recursive: true });
  await writeBisectState(path, state);
  const runner = options.runner ?? fakeKernelRunner(options.kernel);
  const signal = options.signal ?? new AbortController().signal;
  return await withBisectTree(
    tree,
    { cacheDir, owner: path },
    (tree) => runBisect({ request, state, directory: path, tree, terminal, runner, signal }),
  );
}

if (import.meta.main) {
  const [repository = "", good = "", bad = "", path = "", cacheDir = ""] = Deno.args;
  await fakeBisect({ repository, good, bad, path, cacheDir });
}
