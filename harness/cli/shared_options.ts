// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import type { KernelSource } from "../../vm/kernel/source/kernel_source.ts";
import { KERNEL_FLAVOURS } from "../../vm/kernel/config/kernel_flavour.ts";
import { isFilter, SCENARIO_DIRECTORY } from "../run/catalogue.ts";
import { parsePlatforms, type Platform } from "../run/platform.ts";
import { flag, kindOf, oneOf, type OptionValues, value, values, valuesOrWords } from "./options.ts";

const FILTER_HELP = "only the scenario of that name, or those whose names contain TEXT or match /TEXT/";
const FILTER = {
  ...kindOf({ metavar: "TEXT", what: "a text or /a regular expression/", parse: isFilter }),
  *suggest(prefix: string) {
    for (const { name: family } of Deno.readDirSync(SCENARIO_DIRECTORY)) {
      for (const { name } of Deno.readDirSync(join(SCENARIO_DIRECTORY, family))) {
        const text = name.replace(/\.json$/, "");
        if (text.startsWith(prefix)) yield { kind: "literal", text } as const;
      }
    }
  },
};

/** Which scenarios. */
export const FILTER_OPTION = { filter: values(FILTER, FILTER_HELP) };

/** The same, with or without `--filter`. */
export const FILTER_WORDS = { filter: valuesOrWords(FILTER, FILTER_HELP) };

/** Which jobs of a nightly run. */
export const MATRIX_OPTIONS = {
  matrix: value("FILE", "what to run; fixtures/nightly.json by default"),
  only: values("TEXT", "only jobs whose name contains TEXT"),
  ...FILTER_OPTION,
};

/** Which architectures. */
export const ARCH_OPTION = { arch: value("LIST", "platforms, separated by commas, or all") };

/** The kind of kernel. */
export const FLAVOUR_OPTION = {
  flavour: value(oneOf(KERNEL_FLAVOURS), "debug has KASAN, lockdep and kmemleak, fault injects faults"),
};

/** The tree that the kernel is built from. */
export const TREE_OPTIONS = {
  kernelTree: value(
    "DIR",
    "a kernel source tree in place of Debian's; unless it has the patch, a copy gets it",
  ),
  asIs: flag("build the tree of --kernel-tree without looking for the patch or adding it"),
};

/** Which kernel source is built. */
export const SOURCE_OPTIONS = {
  series: value("LIST", "kernels of Debian, separated by commas: 5.10, 6.1 (default), 6.12"),
  ...TREE_OPTIONS,
};

/** How guests run. */
export const ACCELERATOR_OPTION = {
  accel: value(oneOf(["auto", "kvm", "tcg"]), "kvm or tcg, in place of the probe"),
};

/** Where results go, and which are printed. */
export const OUT_OPTION = {
  out: value("DIR", "where the results go; a new directory below the cache by default"),
  quiet: flag("print failures and the summary alone"),
};

/** The same of a run that can be interrupted. */
export const RUN_OUT_OPTIONS = {
  ...OUT_OPTION,
  resume: flag("go on with the run that was interrupted in the directory of --out"),
};

/** The command line of a run, for the one that goes on with it: without what says where. */
export function argsToResume(args: readonly string[]): string[] {
  return args.filter((arg, at) =>
    arg !== "--resume" && arg !== "--out" && args[at - 1] !== "--out" && !arg.startsWith("--out=")
  );
}

/** The platform of a command that takes one; x86_64 by default. */
export function onePlatformOption(arch: string | undefined): Platform {
  const [platform, ...more] = parsePlatforms({ arch, fallback: "x86_64" });
  if (!platform || more.length > 0) throw new UsageError("option --arch takes one platform here");
  return platform;
}

/** The source tree that a command line asks for; undefined for Debian's of the platform's series. */
export function kernelSourceOption(
  { kernelTree, asIs }: OptionValues<typeof TREE_OPTIONS>,
): KernelSource | undefined {
  if (kernelTree !== undefined) return { kind: "directory", path: kernelTree, ...asIs ? { asIs } : {} };
  if (asIs) throw new UsageError("option --as-is needs --kernel-tree DIR");
  return undefined;
}
