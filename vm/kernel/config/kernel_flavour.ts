// SPDX-License-Identifier: MIT
import type { KernelArch } from "../../../lib/abi/arch.ts";

/**
 * What a kernel is built for, besides its architecture:
 * - `plain`: as users run it, and fast;
 * - `debug`: it complains about what a plain one endures (KASAN, lockdep, kmemleak ...);
 * - `fault`: as plain, but its allocations fail when asked to, and it counts how often our lines ran (gcov).
 */
export type KernelFlavour = "plain" | "debug" | "fault";

/** All flavours. */
export const KERNEL_FLAVOURS: readonly KernelFlavour[] = ["plain", "debug", "fault"];

/**
 * Names of the project's config fragments, without `.config`, later ones win. Not all of them need exist:
 * base and architecture are written for 6.1, and what a kernel series calls otherwise, or has not, comes
 * last.
 */
export function fragmentNames(arch: KernelArch, flavour: KernelFlavour, series: string): string[] {
  const own = flavour === "plain" ? [] : [flavour, `${flavour}-${arch}`];
  return ["base", arch, ...own, series, ...[arch, ...own].map((name) => `${series}-${name}`)];
}

/** Files whose lines the `fault` flavour counts, by the name of their object without `.o`. */
const COUNTED_OBJECTS: readonly string[] = ["sys", "checkpoint", "ckpt_mem"];

/** Variables for the kernel's make, `NAME=value`. */
export function flavourMakeVariables(flavour: KernelFlavour): string[] {
  // On the command line, so that the kernel code carries nothing that only we need (scripts/Makefile.lib).
  return flavour === "fault" ? COUNTED_OBJECTS.map((name) => `GCOV_PROFILE_${name}.o=y`) : [];
}

/**
 * How many times longer everything may take than on a plain kernel: for deadlines. Measured under TCG: a
 * KASAN kernel boots in 7 s where a plain one takes 0.6, and in 24 on a busy machine; its scenarios take 2 to
 * 8 times as long.
 */
export function slowdown(flavour: KernelFlavour): number {
  return flavour === "debug" ? 8 : flavour === "fault" ? 2 : 1;
}
