// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { findTool } from "../../../vm/host/find_tool.ts";
import { type CommandResult, runCommand } from "../../../vm/host/run_command.ts";
import { PROJECT_ROOT } from "../plan/harness_digest.ts";
import type { PlannedJob } from "../plan/planned_job.ts";

/** Where a job runs. */
export interface JobPlace {
  /** Directory for its results. */
  readonly out: string;
  /** File for all that it writes. */
  readonly logPath: string;
  /** Directory for temporary files; removed after it. */
  readonly tmp: string;
  /** Ends the job. */
  readonly signal: AbortSignal;
}

/** Runs jobs, each in a process of its own that dies with this one. */
export interface JobRunner {
  /** Builds the kernel of a job that has a `buildKey`. */
  build(job: PlannedJob, place: JobPlace): Promise<CommandResult>;
  run(job: PlannedJob, place: JobPlace): Promise<CommandResult>;
}

/** Runs jobs by the command line of this very ckptest. */
export const CKPTEST_RUNNER: JobRunner = {
  build: (job, place) => runChild(ckptest(job.buildArgs ?? []), place),
  run: async (job, place) => {
    const { command } = job;
    if (command.kind === "ckptest") {
      const out = command.writesResults ? ["--out", place.out] : [];
      return await runChild(ckptest([...command.args, ...out]), place);
    }
    const report = `--junit-path=${join(place.out, "junit.xml")}`;
    return await runChild(["test", "-q", config(), `-P=${command.permissions}`, report, command.file], place);
  },
};

/** Variables of ours that a job needs beside those of every program. */
const PASSED_ON = ["CCACHE_DIR", "CI", "DENO_DIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"];

function config(): string {
  return `--config=${join(PROJECT_ROOT, "deno.json")}`;
}

function ckptest(args: readonly string[]): string[] {
  return ["run", "-q", config(), "-P=vm", join(PROJECT_ROOT, "harness", "cli", "main.ts"), ...args];
}

async function runChild(args: readonly string[], { logPath, tmp, signal }: JobPlace): Promise<CommandResult> {
  const deno = await findTool("deno") ?? Deno.execPath();
  const env = Object.fromEntries(
    PASSED_ON.map((name) => [name, Deno.env.get(name)]).filter(([, value]) => value !== undefined),
  );
  return await runCommand(["setpriv", "--pdeathsig", "KILL", deno, ...args], {
    cwd: PROJECT_ROOT,
    env: { ...env, NO_COLOR: "1", TMPDIR: tmp },
    logPath,
    signal,
    detached: true,
    keepLines: 200,
  });
}
