// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import type { KernelArch } from "../../../lib/abi/arch.ts";
import { findTool } from "../../host/find_tool.ts";
import type { KernelConfig } from "../config/kernel_config.ts";
import {
  inStage,
  type OnBuildProgress,
  runStageCommand,
  stageReport,
  tellingEverySecond,
} from "./build_stage.ts";

/** Host tools that any kernel build needs. */
export const BUILD_TOOLS = [
  "make",
  "gcc",
  "ld",
  "objcopy",
  "flex",
  "bison",
  "bc",
  "nice",
  "setpriv",
] as const;

/** What every call of the kernel's make needs to know. */
export interface MakeOptions {
  tree: string;
  buildDir: string;
  arch: KernelArch;
  cacheDir: string;
  variables?: readonly string[];
  /** Number of parallel jobs; as many as there are CPUs by default. */
  jobs?: number | undefined;
}

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

/**
 * The argument list and environment of a kernel make. With ccache when it is installed. Whatever make could
 * put into a kernel about the place and time of its build is fixed, so that the same inputs give the same
 * bytes.
 */
export async function makeCommand(
  options: MakeOptions,
  ...targets: string[]
): Promise<{ argv: [string, ...string[]]; env: Record<string, string> }> {
  const { tree, buildDir, arch, cacheDir, variables = [], jobs = navigator.hardwareConcurrency } = options;
  const ccache = await findTool("ccache") === undefined ? "" : "ccache ";
  const argv: [string, ...string[]] = [
    // make must not outlive us, and lets everything else on the machine go first.
    ...["setpriv", "--pdeathsig", "TERM", "nice", "-n", "10"] as const,
    ...["make", `--directory=${tree}`, `O=${buildDir}`],
    `ARCH=${arch === "x86_64" ? "x86_64" : "i386"}`,
    ...[`CC=${ccache}gcc`, `HOSTCC=${ccache}gcc`, "LOCALVERSION="],
    ...[...variables, `--jobs=${jobs}`, ...targets],
  ];
  const env = {
    KBUILD_BUILD_TIMESTAMP: "Thu Jan  1 00:00:00 UTC 1970",
    KBUILD_BUILD_USER: "ckptest",
    KBUILD_BUILD_HOST: "ckptest",
    KBUILD_BUILD_VERSION: "1",
    CCACHE_DIR: join(cacheDir, "ccache"),
    CCACHE_BASEDIR: cacheDir,
    CCACHE_NOHASHDIR: "1",
    CCACHE_MAXSIZE: "2G",
  };
  return { argv, env };
}

/** Where the PVH entry lies in a kernel tree. */
const PVH_ENTRY = "arch/x86/platform/pvh/head.S";

interface BootedKernel {
  tree: string;
  arch: KernelArch;
  config: KernelConfig;
  /** True for a configuration of the user's, which need not have a PVH entry. */
  isWhole?: boolean;
}

/**
 * Whether a kernel must be entered by its own boot code, since its PVH entry does not work:
 * - where {@linkcode lacksPvhEntry} says so;
 * - without PAE on i386, where the entry sets CR4.PAE whatever the page tables are (5.10: triple fault as soon as
 *   paging is on). Later kernels, 6.1.y too, do that with CONFIG_X86_PAE alone.
 */
export async function needsBzImage({ tree, arch, config, isWhole = false }: BootedKernel): Promise<boolean> {
  if (lacksPvhEntry(config, isWhole)) return true;
  if (arch !== "i386") return false;
  const entry = await Deno.readTextFile(join(tree, PVH_ENTRY)).catch(() => "");
  return entry.includes("X86_CR4_PAE") && !entry.includes("CONFIG_X86_PAE");
}

/**
 * What a configuration alone tells of the PVH entry: a kernel with KASAN does not survive it (6.1: no output at all,
 * measured), and a configuration of the user's need not have it.
 */
export function lacksPvhEntry(config: KernelConfig, isWhole: boolean): boolean {
  return config.get("CONFIG_KASAN") === "y" || isWhole && config.get("CONFIG_PVH") !== "y";
}
