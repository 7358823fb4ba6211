// SPDX-License-Identifier: MIT

import type { KernelSource } from "../vm/kernel/kernel_source.ts";
import type { ParsedOptions } from "./parse_options.ts";

/** Options that say which kernel source is built. */
export const SOURCE_OPTIONS: readonly string[] = ["series", "kernel-tree"];

/** What they say, for a command's help. */
export const SOURCE_HELP: readonly string[] = [
  "--series LIST     kernel series, separated by commas: 5.10, 6.1 (default), 6.12; from Debian's source packages",
  "--kernel-tree DIR a kernel source tree in place of Debian's; the patch goes into a copy",
];

/** The options of a command line that name its kernel, as they were given. */
export function kernelOptionsOf(options: ParsedOptions, names = [...SOURCE_OPTIONS, "kernel"]): string[] {
  return names.flatMap((name) => options.list(name).flatMap((value) => [`--${name}`, value]));
}

/** The source tree that a command line asks for; undefined for Debian's of the platform's series. */
export function kernelSourceOption(options: ParsedOptions): KernelSource | undefined {
  const path = options.string("kernel-tree");
  return path === undefined ? undefined : { kind: "directory", path };
}
