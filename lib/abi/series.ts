// SPDX-License-Identifier: MIT

/** Kernel series that the port has hooks and options for, and that Debian has the source of. */
export const PORTED_SERIES = ["5.10", "6.1", "6.12"] as const;

/** One of {@linkcode PORTED_SERIES}. */
export type PortedSeries = (typeof PORTED_SERIES)[number];

/** The series that is meant where none is named. */
export const DEFAULT_SERIES: PortedSeries = "6.1";

/** The series that the code of 2008 was posted for. */
export const POSTED_SERIES = "2.6.28" as const;

/** The kernels whose vm_flags, page protections and task states are known: the ported ones, and the original. */
export const KERNEL_SERIES = [POSTED_SERIES, ...PORTED_SERIES] as const;

/** One of {@linkcode KERNEL_SERIES}. */
export type KernelSeries = (typeof KERNEL_SERIES)[number];

/** The series that a kernel version belongs to, or undefined when it is none of {@linkcode KERNEL_SERIES}. */
export function kernelSeries(major: number, minor: number, patch: number): KernelSeries | undefined {
  const version = `${major}.${minor}`;
  return KERNEL_SERIES.find((series) => series === version || series === `${version}.${patch}`);
}

/**
 * Whose code writes the image. `port` is this project's kernel code on Linux 5.10 and later. `v11` is the code as
 * posted in December 2008 on Linux 2.6.28: its known errors, and what that kernel does otherwise, belong to it.
 */
export type Dialect = "port" | "v11";

/**
 * Whether a release (`uname -r`) is older than a version such as `2.6.32` or `5.10`, number by number. What follows
 * the numbers does not count, so a release candidate is as old as its release; one without numbers is new.
 */
export function isOlder(release: string, version: string): boolean {
  const numbers = /^\d+(\.\d+)*/.exec(release)?.[0].split(".").map(Number);
  if (!numbers) return false;
  for (const [index, wanted] of version.split(".").map(Number).entries()) {
    const found = numbers[index] ?? 0;
    if (found !== wanted) return found < wanted;
  }
  return false;
}
