// SPDX-License-Identifier: MIT

import type { KernelSource } from "../../vm/kernel/source/kernel_source.ts";
import type { KernelBuild } from "../../vm/kernel/build/build_kernel.ts";
import { UsageError } from "../../vm/host/errors.ts";
import type { ParsedOptions } from "./parse_options.ts";

/** Options that say which kernel source is built. */
export const SOURCE_OPTIONS: readonly string[] = ["series", "kernel-tree"];

/** The same, of those that take no value. */
export const SOURCE_FLAGS: readonly string[] = ["as-is"];

/** What they say, for a command's help. */
export const SOURCE_HELP: readonly string[] = [
  "--series LIST     kernel series, separated by commas: 5.10, 6.1 (default), 6.12; from Debian's source packages",
  "--kernel-tree DIR a kernel source tree in place of Debian's; the patch goes into a copy, unless the tree has it",
  "--as-is           build the tree of --kernel-tree without looking for the patch or adding it",
];

/** The options of a command line that name its kernel, as they were given. */
export function kernelOptionsOf(options: ParsedOptions, names = [...SOURCE_OPTIONS, "kernel"]): string[] {
  return [
    ...names.flatMap((name) => options.list(name).flatMap((value) => [`--${name}`, value])),
    ...SOURCE_FLAGS.filter((name) => options.flag(name)).map((name) => `--${name}`),
  ];
}

/** The source tree that a command line asks for; undefined for Debian's of the platform's series. */
export function kernelSourceOption(options: ParsedOptions): KernelSource | undefined {
  const path = options.string("kernel-tree");
  const asIs = options.flag("as-is");
  if (path === undefined) {
    if (asIs) throw new UsageError("option --as-is needs --kernel-tree DIR");
    return undefined;
  }
  return { kind: "directory", path, ...asIs ? { asIs } : {} };
}

/** Which kernel was built, for people: its release, and of an own tree where its checkpoint code comes from. */
export function kernelText(
  { info, patch }: Pick<KernelBuild, "info" | "patch">,
  source?: KernelSource,
): string {
  const name = `Linux ${info.release}`;
  if (source?.kind !== "directory") return name;
  if (source.asIs) return `${name} (${source.path}, built as it is)`;
  return `${name} (${source.path} ${
    patch === "carried" ? "carries the patch" : "with the patch added to a copy"
  })`;
}
