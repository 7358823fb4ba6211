// SPDX-License-Identifier: MIT

import { resolve } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import type { KernelSource } from "../../vm/kernel/source/kernel_source.ts";
import { parsePlatforms, type Platform } from "../run/platform.ts";
import type { OptionSpecs, ParsedOptions } from "./parse_options.ts";

/** Which scenarios. */
export const FILTER_OPTION = {
  filter: ["TEXT...", "only scenarios whose name contains TEXT"],
} satisfies OptionSpecs;

/** The words of commands that take filters without `--filter`, too. */
export const FILTER_WORDS = { "TEXT": "the same as --filter TEXT" };

/** Which architectures. */
export const ARCH_OPTION = {
  arch: ["LIST", "platforms, separated by commas, or all"],
} satisfies OptionSpecs;

/** The kind of kernel. */
export const FLAVOUR_OPTION = {
  flavour: ["NAME", "plain, debug (KASAN, lockdep, kmemleak ...) or fault (fault injection, gcov)"],
} satisfies OptionSpecs;

/** Which kernel source is built. */
export const SOURCE_OPTIONS = {
  series: [
    "LIST",
    "kernel series, separated by commas: 5.10, 6.1 (default), 6.12; from Debian's source packages",
  ],
  "kernel-tree": [
    "DIR",
    "a kernel source tree in place of Debian's; the patch goes into a copy, unless the tree has it",
  ],
  "as-is": "build the tree of --kernel-tree without looking for the patch or adding it",
} satisfies OptionSpecs;

/** How guests run. */
export const ACCELERATOR_OPTION = {
  accel: ["NAME", "kvm or tcg, in place of the probe"],
} satisfies OptionSpecs;

/** Where results go. */
export const OUT_OPTION = {
  out: ["DIR", "where the results go; a new directory below the cache by default"],
} satisfies OptionSpecs;

/** The same of a run that can be interrupted. */
export const RUN_OUT_OPTIONS = {
  ...OUT_OPTION,
  resume: "go on with the run that was interrupted in the directory of --out",
} satisfies OptionSpecs;

/** The command line of a run, for the one that goes on with it: without what says where. */
export function argsToResume({ args }: ParsedOptions): string[] {
  return args.filter((arg, at) =>
    arg !== "--resume" && arg !== "--out" && args[at - 1] !== "--out" && !arg.startsWith("--out=")
  );
}

/**
 * The platforms that a command line asks for.
 *
 * @throws {UsageError} when one is not known
 */
export function platformsOption(
  options: ParsedOptions,
  { fallback, flavour }: { fallback: string; flavour?: string },
): readonly Platform[] {
  return parsePlatforms({
    arch: options.string("arch"),
    fallback,
    flavour: options.string("flavour") ?? flavour,
    series: options.string("series"),
  });
}

/** The same of a command that takes one platform; x86_64 by default. */
export function onePlatformOption(options: ParsedOptions): Platform {
  const [platform, ...more] = parsePlatforms({ arch: options.string("arch"), fallback: "x86_64" });
  if (!platform || more.length > 0) throw new UsageError("option --arch takes one platform here");
  return platform;
}

/** The source tree that a command line asks for; undefined for Debian's of the platform's series. */
export function kernelSourceOption(options: ParsedOptions): KernelSource | undefined {
  const path = options.string("kernel-tree");
  const asIs = options.flag("as-is");
  if (path !== undefined) return { kind: "directory", path: resolve(path), ...asIs ? { asIs } : {} };
  if (asIs) throw new UsageError("option --as-is needs --kernel-tree DIR");
  return undefined;
}
