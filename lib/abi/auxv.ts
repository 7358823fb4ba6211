// SPDX-License-Identifier: MIT
import { hex } from "../bytes.ts";
import type { KernelSeries } from "./series.ts";

/** Types of the entries of an auxiliary vector (include/uapi/linux/auxvec.h), without their AT_. */
const NAMES: Readonly<Record<number, string>> = {
  ...{ 0: "NULL", 1: "IGNORE", 2: "EXECFD", 3: "PHDR", 4: "PHENT", 5: "PHNUM", 6: "PAGESZ", 7: "BASE" },
  ...{ 8: "FLAGS", 9: "ENTRY", 10: "NOTELF", 11: "UID", 12: "EUID", 13: "GID", 14: "EGID", 15: "PLATFORM" },
  ...{ 16: "HWCAP", 17: "CLKTCK", 23: "SECURE", 24: "BASE_PLATFORM", 25: "RANDOM", 26: "HWCAP2" },
  ...{ 27: "RSEQ_FEATURE_SIZE", 28: "RSEQ_ALIGN", 29: "HWCAP3", 30: "HWCAP4", 31: "EXECFN", 32: "SYSINFO" },
  ...{ 33: "SYSINFO_EHDR", 51: "MINSIGSTKSZ" },
};

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
    const name = NAMES[Number(words[i])];
    lines.push(`${name ? `AT_${name}` : `type ${words[i]}`}: ${hex(words[i + 1]!)}`);
  }
  return lines;
}
