// SPDX-License-Identifier: MIT
import type { KernelArch } from "../../../lib/abi/arch.ts";

/** What guests with a kernel of some flavour are like. */
interface FlavourTraits {
  /**
   * How many times longer everything may take than on a plain kernel: for deadlines. Measured under TCG: a KASAN kernel
   * boots in 7 s where a plain one takes 0.6, and in 24 on a busy machine; its scenarios take 2 to 8 times as long.
   */
  readonly slowdown: number;
  readonly processors: number;
  /** Whether it has debugfs, with what the flavour can tell and be asked for. */
  readonly hasDebugfs: boolean;
  /** Whether it keeps a shadow of its memory, or gives huge pages, which small machines get none of. */
  readonly needsMoreMemory: boolean;
  readonly parameters: readonly string[];
}

/** The kernel parameter with which memory gets huge pages without being asked for. */
export const HUGE_PAGES_ALWAYS = "transparent_hugepage=always";

const NONE: readonly string[] = [];

/**
 * What a kernel is built for, besides its architecture:
 * - `plain`: as users run it, and fast;
 * - `debug`: it complains about what a plain one endures (KASAN, lockdep, kmemleak ...);
 * - `fault`: as plain, but its allocations fail when asked to, and it counts how often our lines ran (gcov);
 * - `smp`: several processors, preempted anywhere;
 * - `kcsan`: the same, and it tells of data races;
 * - `distro`: with what a distribution's configuration has on that touches images.
 */
export const FLAVOURS = {
  plain: { slowdown: 1, processors: 1, hasDebugfs: false, needsMoreMemory: false, parameters: NONE },
  debug: { slowdown: 8, processors: 1, hasDebugfs: true, needsMoreMemory: true, parameters: NONE },
  fault: { slowdown: 2, processors: 1, hasDebugfs: true, needsMoreMemory: false, parameters: NONE },
  smp: { slowdown: 4, processors: 4, hasDebugfs: false, needsMoreMemory: false, parameters: NONE },
  kcsan: { slowdown: 16, processors: 4, hasDebugfs: true, needsMoreMemory: true, parameters: NONE },
  distro: {
    ...{ slowdown: 4, processors: 2, hasDebugfs: true, needsMoreMemory: true },
    // Two nodes of one processor each; page table isolation as on processors that need it.
    parameters: [HUGE_PAGES_ALWAYS, "numa=fake=2", "pti=on"],
  },
} satisfies Readonly<Record<string, FlavourTraits>>;

/** A name of {@linkcode FLAVOURS}. */
export type KernelFlavour = keyof typeof FLAVOURS;

/** All of them. */
export const KERNEL_FLAVOURS = Object.keys(FLAVOURS) as readonly KernelFlavour[];

/** Whether such a kernel can be built: x86-64 alone has KCSAN. */
export function hasFlavour(arch: KernelArch, flavour: KernelFlavour): boolean {
  return flavour !== "kcsan" || arch === "x86_64";
}

/** The flavour at the end of a platform's name; a plain one has none there. */
export const FLAVOUR_SUFFIX = new RegExp(`-(${KERNEL_FLAVOURS.slice(1).join("|")})$`);

/**
 * Names of the project's config fragments, without `.config`, later ones win. Not all of them need exist:
 * base and architecture are written for 6.1, and what a kernel series calls otherwise, or has not, comes
 * last.
 */
export function fragmentNames(arch: KernelArch, flavour: KernelFlavour, series: string): string[] {
  const own = flavour === "plain" ? [] : [flavour, `${flavour}-${arch}`];
  return ["base", arch, ...own, series, ...[arch, ...own].map((name) => `${series}-${name}`)];
}

/** Files whose lines the `fault` flavour counts, ours all, by the name of their object without `.o`. */
const COUNTED_OBJECTS: readonly string[] = [
  ...["sys", "checkpoint", "ckpt_mem", "ckpt_signal"],
  ...["", "_sys", "_mm", "_vma", "_file", "_signal", "_commit", "_regs"].map((part) => `restart${part}`),
];

const LONG_VERSION = "1-as-long-as-utsname-has-room-for-the-version-of-a-kernel-and-then-some";

/** Variables for the kernel's make, `NAME=value`. */
export function flavourMakeVariables(flavour: KernelFlavour): string[] {
  // On the command line, so that the kernel code carries nothing that only we need (scripts/Makefile.lib).
  if (flavour === "fault") return COUNTED_OBJECTS.map((name) => `GCOV_PROFILE_${name}.o=y`);
  // Distributions say much there. The kernel cuts it to the 64 bytes that an image has for it, too.
  return flavour === "distro" ? [`KBUILD_BUILD_VERSION=${LONG_VERSION}`] : [];
}
