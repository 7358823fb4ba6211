// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { inStage, type OnBuildProgress, runStageCommand } from "./build_stage.ts";
import { makeCommand, type MakeOptions } from "./make_command.ts";

/** Settings of {@linkcode compileKernel}. */
export interface CompileOptions extends MakeOptions {
  /** Whether the kernel's own boot code is needed, since QEMU cannot enter vmlinux. */
  needsBzImage: boolean;
  logPath: string;
  onProgress?: OnBuildProgress;
}

/** A line of make's that stands for one step: two spaces, a short word in capitals, a file. */
const STEP = /^ {2}[A-Z][A-Z0-9_]+ +\S/;
const STEPS_FILE = ".ckptest-steps";

/**
 * Stage `build`: makes `vmlinux`, which is all that a PVH boot needs, or `bzImage` as well, in a configured
 * build directory.
 *
 * The caller holds the tree's lock.
 *
 * @returns the path of what can be booted: vmlinux or bzImage.
 * @throws {BuildError} of stage `build`, compiler errors first.
 */
export function compileKernel(options: CompileOptions): Promise<string> {
  return inStage("build", async () => {
    const { buildDir, logPath, onProgress, needsBzImage } = options;
    const { argv, env } = await makeCommand(options, needsBzImage ? "bzImage" : "vmlinux");
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
    return join(buildDir, needsBzImage ? "arch/x86/boot/bzImage" : "vmlinux");
  });
}
