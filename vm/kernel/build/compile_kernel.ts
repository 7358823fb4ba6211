// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import {
  inStage,
  type OnBuildProgress,
  runStageCommand,
  stageReport,
  tellingEverySecond,
} from "./build_stage.ts";
import { makeCommand, type MakeOptions } from "./make_command.ts";

interface CompileOptions extends MakeOptions {
  /** Whether the kernel's own boot code is needed, since QEMU cannot enter vmlinux. */
  needsBzImage: boolean;
  logPath: string;
  onProgress?: OnBuildProgress | undefined;
  /** Calls sources in the compiler's lines as the user calls them. */
  nameSources: (line: string) => string;
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
    const { buildDir, logPath, onProgress, needsBzImage, nameSources } = options;
    const { argv, env } = await makeCommand(options, needsBzImage ? "bzImage" : "vmlinux");
    const expectedSteps = Number(await Deno.readTextFile(join(buildDir, STEPS_FILE)).catch(() => "0"));
    const report = stageReport("build", onProgress);
    let [steps, toldAt] = [0, -Infinity];
    const tell = (message: string) => {
      if (performance.now() - toldAt < 250) return;
      toldAt = performance.now();
      report(message, { steps, ...(expectedSteps === 0 ? {} : { expectedSteps }) });
    };
    const onLine = (line: string) => {
      if (!STEP.test(line)) return;
      steps++;
      tell(line.trim().replace(/ +/, " "));
    };
    await tellingEverySecond(
      () => tell(steps === 0 ? "starting make" : "compiling"),
      () =>
        runStageCommand("build", argv, {
          ...{ env, logPath, onLine, outputDir: buildDir, detached: true, nameSources },
        }),
    );
    if (steps > expectedSteps) await Deno.writeTextFile(join(buildDir, STEPS_FILE), String(steps));
    return join(buildDir, needsBzImage ? "arch/x86/boot/bzImage" : "vmlinux");
  });
}
