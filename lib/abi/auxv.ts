// SPDX-License-Identifier: MIT
import { hex } from "../bytes.ts";
import type { KernelSeries } from "./series.ts";

/** Types of the entries of an auxiliary vector (include/uapi/linux/auxvec.h), without their AT_. */
const NAMES: readonly (string | undefined)[] = [
  ...["NULL", "IGNORE", "EXECFD", "PHDR", "PHENT", "PHNUM", "PAGESZ", "BASE", "FLAGS", "ENTRY", "NOTELF"],
  ...[
    "UID",
    "EUID",
    "GID",
    "EGID",
    "PLATFORM",
    "HWCAP",
    "CLKTCK",
    undefined,
    undefined,
    undefined,
    undefined,
  ],
  ...[undefined, "SECURE", "BASE_PLATFORM", "RANDOM", "HWCAP2", "RSEQ_FEATURE_SIZE", "RSEQ_ALIGN", "HWCAP3"],
  ...["HWCAP4", "EXECFN", "SYSINFO", "SYSINFO_EHDR"],
];
const MINSIGSTKSZ = 51;

/** The type of its last entry, and that of the one that tells the size of a page. */
export const [AT_NULL, AT_PAGESZ] = [0n, 6n];

/**
 * Most entries of `mm->saved_auxv`, AT_NULL included: half of AT_VECTOR_SIZE (include/linux/mm_types.h) of i386, and of
 * x86-64 kernels that run 32-bit programs, too.
 */
export const AUXV_ENTRIES: Readonly<Partial<Record<KernelSeries, number>>> = {
  "5.10": 23,
  "6.1": 24,
  "6.12": 26,
};

/** The most that any kernel has. */
export const MAX_AUXV_ENTRIES: number = Math.max(...Object.values(AUXV_ENTRIES));

/** What entries say, one a line, without the AT_NULL at their end. */
export function describeAuxv(words: ArrayLike<bigint>): string[] {
  const lines: string[] = [];
  for (let i = 0; i + 1 < words.length && words[i] !== AT_NULL; i += 2) {
    const type = Number(words[i]);
    const name = type === MINSIGSTKSZ ? "MINSIGSTKSZ" : NAMES[type];
    lines.push(`${name ? `AT_${name}` : `type ${words[i]}`}: ${hex(words[i + 1]!)}`);
  }
  return lines;
}
