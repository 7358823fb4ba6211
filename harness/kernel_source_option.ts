// SPDX-License-Identifier: MIT

import type { KernelSource } from "../vm/kernel/kernel_source.ts";
import { UsageError } from "./exit_status.ts";
import type { ParsedOptions } from "./parse_options.ts";

/** Options that say which kernel source is built. */
export const SOURCE_OPTIONS: readonly string[] = ["series", "kernel-tree"];

/** What they say, for a command's help. */
export const SOURCE_HELP: readonly string[] = [
  "--series NAME     the kernel of Debian's package linux-source-NAME; 6.1 by default",
  "--kernel-tree DIR a kernel source tree in its place; the patch goes into a copy",
];

/** The options of a command line that name its kernel, as they were given. */
export function kernelOptionsOf(options: ParsedOptions, names = [...SOURCE_OPTIONS, "kernel"]): string[] {
  return names.flatMap((name) => options.list(name).flatMap((value) => [`--${name}`, value]));
}

/**
 * The source that a command line asks for; undefined for the one by default.
 *
 * @throws {UsageError} when it asks for two
 */
export function kernelSourceOption(options: ParsedOptions): KernelSource | undefined {
  const series = options.string("series");
  const path = options.string("kernel-tree");
  if (series !== undefined && path !== undefined) {
    throw new UsageError("options --series and --kernel-tree name two kernels: give one of them");
  }
  if (series !== undefined && !/^\d+\.\d+$/.test(series)) {
    throw new UsageError(`option --series takes a version such as 6.1: found "${series}"`);
  }
  if (path !== undefined) return { kind: "directory", path };
  return series === undefined ? undefined : { kind: "debian", series };
}
