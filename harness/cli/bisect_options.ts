// SPDX-License-Identifier: MIT

import { resolve } from "@std/path";
import { PLATFORM_NAMES } from "../../lib/abi/arch.ts";
import { DEFAULT_SERIES, PORTED_SERIES } from "../../lib/abi/series.ts";
import { KERNEL_FLAVOURS } from "../../vm/kernel/config/kernel_flavour.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { isGitUrl } from "../../vm/host/run_git.ts";
import type { BisectRequest, BisectSource } from "../bisect/bisect_request.ts";
import { flag, kindOf, oneOf, type OptionValues, TIME, value, wholeNumber } from "./options.ts";
import { FILTER_OPTION } from "./shared_options.ts";

const MAX = 0x7fff_ffff;
const REPOSITORY = kindOf({
  ...{ metavar: "REPOSITORY", what: "a path or URL" },
  parse: (text) => isGitUrl(text) ? text : resolve(text),
});
const PROBABILITY = kindOf({
  ...{ metavar: "P", what: "a number from 0.5 to 0.9999" },
  parse: (text) => /^0?\.\d+$/.test(text) && +text >= 0.5 && +text <= 0.9999 ? Number(text) : undefined,
});

/** Options of {@linkcode parseBisectRequest}. */
export const REQUEST_OPTIONS = {
  git: value(REPOSITORY, "a kernel's git repository, as a path or URL; it is only read"),
  patches: value("DIR", "patches NNNN-*.patch as git format-patch and deno task kernel:series write them"),
  good: value("REF", "a commit that is good; of patches a number or file name; 0 is the kernel without them"),
  bad: value("REF", "a commit or patch that is bad; the last patch by default"),
  firstParent: flag("what a merge brought is one change"),
  series: value(oneOf(PORTED_SERIES), `Debian's kernel that patches are for; ${DEFAULT_SERIES} by default`),
  kernelTree: value("DIR", "or the source tree that they are for; it is only read"),
  suite: value(oneOf(["catalogue", "faults", "fuzz"]), "what is run; catalogue by default"),
  ...FILTER_OPTION,
  count: value(wholeNumber(1, MAX), "programs of the suite fuzz, 1000 by default"),
  seed: value(wholeNumber(0, MAX), "which programs, 1 by default"),
  arch: value(oneOf(PLATFORM_NAMES), "the platform; x86_64 by default"),
  flavour: value(oneOf(KERNEL_FLAVOURS), "the kind of kernel; plain by default"),
  confidence: value(PROBABILITY, "go on until the answer is right with that probability; 0.99 by default"),
  runs: value(wholeNumber(1, 1000), "most runs of one change, 30 by default"),
  deadline: value(TIME, "a run and its build are ended after that; 2h by default"),
};
type RequestValues = OptionValues<typeof REQUEST_OPTIONS>;

/** Reads what is asked for from a command line. @throws {UsageError} naming options that do not fit together */
export function parseBisectRequest(options: RequestValues): BisectRequest {
  const { flavour = "plain", arch: platform = "x86_64", confidence = 0.99, runs: maxRuns = 30 } = options;
  const suite = suiteOf(options);
  if (suite.kind === "faults" && flavour === "plain") {
    throw new UsageError(
      "--suite faults needs --flavour debug or fault: plain kernels have no fault injection",
    );
  }
  const { deadline: deadlineSeconds = 7200 } = options;
  return { source: sourceOf(options), platform, flavour, suite, deadlineSeconds, confidence, maxRuns };
}

function sourceOf(options: RequestValues): BisectSource {
  const { git: repository, patches: directory, good, bad, firstParent, series, kernelTree: path } = options;
  if (directory !== undefined) {
    if (repository !== undefined) throw new UsageError("expected either --git or --patches: found both");
    if (firstParent) throw new UsageError("option --first-parent goes with --git");
    if (path !== undefined && series !== undefined) {
      throw new UsageError("expected either --series or --kernel-tree: found both");
    }
    return {
      ...{ kind: "patches", directory },
      base: path === undefined
        ? { kind: "debian", series: series ?? DEFAULT_SERIES }
        : { kind: "directory", path },
      ...(good === undefined ? {} : { good }),
      ...(bad === undefined ? {} : { bad }),
    };
  }
  if (repository === undefined) throw new UsageError("expected either --git or --patches: found neither");
  if (series !== undefined) throw new UsageError("option --series goes with --patches");
  if (path !== undefined) throw new UsageError("option --kernel-tree goes with --patches");
  if (good === undefined || bad === undefined) {
    throw new UsageError(`option --${good === undefined ? "good" : "bad"} is missing: which commit is it?`);
  }
  return { kind: "git", repository, good, bad, firstParent };
}

function suiteOf({ suite: kind = "catalogue", filter, count, seed }: RequestValues): BisectRequest["suite"] {
  if (kind === "fuzz") {
    if (filter.length > 0) throw new UsageError("option --filter goes with --suite catalogue or faults");
    return { kind, count: count ?? 1000, seed: seed ?? 1 };
  }
  if (count !== undefined || seed !== undefined) {
    throw new UsageError(`option --${count === undefined ? "seed" : "count"} goes with --suite fuzz`);
  }
  return { kind, filter: [...filter] };
}
