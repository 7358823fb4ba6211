// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import type { KernelArch } from "../../../lib/abi/arch.ts";
import { findTool } from "../../host/find_tool.ts";

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
