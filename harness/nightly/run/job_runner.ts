// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { findTool } from "../../../vm/host/find_tool.ts";
import { type CommandResult, runCommand } from "../../../vm/host/run_command.ts";
import { type CommandOutcome, readOutcome } from "../../run/command_outcome.ts";
import { PROJECT_ROOT } from "../plan/harness_digest.ts";
import type { PlannedJob } from "../plan/planned_job.ts";

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
  /** Builds the kernel of a job that has a `buildKey`. */
  build(job: RunnableJob, place: JobPlace): Promise<JobEnd>;
  run(job: RunnableJob, place: JobPlace): Promise<JobEnd>;
}

/** Runs jobs by the command line of this very ckptest. */
export const CKPTEST_RUNNER: JobRunner = {
  build: ({ buildArgs = [] }, place) => runCkptest(buildArgs, place),
  run: ({ command }, place) => {
    if (command.kind === "test") return runTests(command.file, place);
    return runCkptest([...command.args, ...command.writesResults ? ["--out", place.out] : []], place);
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
