// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { inStage } from "./build_error.ts";
import type { OnBuildProgress } from "./build_progress.ts";
import { makeCommand, type MakeOptions } from "./make_command.ts";
import { runStageCommand } from "./run_stage_command.ts";

/** Settings of {@linkcode compileKernel}. */
export interface CompileOptions extends MakeOptions {
  logPath: string;
  onProgress?: OnBuildProgress;
}

/** A line of make's that stands for one step: two spaces, a short word in capitals, a file. */
const STEP = /^ {2}[A-Z][A-Z0-9_]+ +\S/;
const STEPS_FILE = ".ckptest-steps";

/**
 * Stage `build`: makes `vmlinux`, which is all that a PVH boot needs, in a configured build directory.
 *
 * The caller holds the tree's lock.
 *
 * @returns the path of vmlinux.
 * @throws {BuildError} of stage `build`, compiler errors first.
 */
export function compileKernel(options: CompileOptions): Promise<string> {
  return inStage("build", async () => {
    const { buildDir, logPath, onProgress } = options;
    const { argv, env } = await makeCommand(options, "vmlinux");
    const expectedSteps = Number(await Deno.readTextFile(join(buildDir, STEPS_FILE)).catch(() => "0"));
    const start = performance.now();
    let [steps, told] = [0, -1];
    const report = (message: string) => {
      const seconds = (performance.now() - start) / 1000;
      if (seconds - told < 0.25) return;
      told = seconds;
      const known = expectedSteps === 0 ? {} : { expectedSteps };
      onProgress?.({ stage: "build", message, seconds, steps, ...known });
    };
    report("starting make");
    const timer = setInterval(() => report("compiling"), 1000);
    const onLine = (line: string) => {
      if (!STEP.test(line)) return;
      steps++;
      report(line.trim().replace(/ +/, " "));
    };
    try {
      await runStageCommand("build", argv, { env, logPath, onLine, outputDir: buildDir });
    } finally {
      clearInterval(timer);
    }
    if (steps > expectedSteps) await Deno.writeTextFile(join(buildDir, STEPS_FILE), String(steps));
    return join(buildDir, "vmlinux");
  });
}
