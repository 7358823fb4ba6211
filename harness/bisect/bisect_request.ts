// SPDX-License-Identifier: MIT

import { resolve } from "@std/path";
import { PLATFORM_NAMES, type PlatformName } from "../../lib/abi/arch.ts";
import { DEFAULT_SERIES, PORTED_SERIES } from "../../lib/abi/series.ts";
import { KERNEL_FLAVOURS, type KernelFlavour } from "../../vm/kernel/config/kernel_flavour.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { isGitUrl } from "../../vm/host/run_git.ts";
import type { CkptestSuite } from "../nightly/plan/matrix.ts";
import { parseSeconds } from "../run/quantity.ts";
import type { OptionSpecs, ParsedOptions } from "../cli/parse_options.ts";

/** Where the changes come from. */
export type BisectSource =
  | {
    readonly kind: "git";
    /** Absolute path, or URL. */
    readonly repository: string;
    readonly good: string;
    readonly bad: string;
    /** Whether what a merge brought counts as one change. */
    readonly firstParent: boolean;
  }
  | {
    readonly kind: "patches";
    /** Directory of `NNNN-*.patch`. */
    readonly directory: string;
    /** The kernel that they are for. */
    readonly base:
      | { readonly kind: "debian"; readonly series: string }
      | { readonly kind: "directory"; readonly path: string };
    /**
     * Numbers or file names; by default the first patch with all of the checkpoint code, and the last one.
     */
    readonly good?: string;
    readonly bad?: string;
  };

/** What a bisect is asked to do. */
export interface BisectRequest {
  readonly source: BisectSource;
  readonly platform: PlatformName;
  readonly flavour: KernelFlavour;
  readonly suite: CkptestSuite;
  /** Wanted probability that the answer is right. */
  readonly confidence: number;
  readonly maxRuns: number;
  readonly deadlineSeconds: number;
}

/** Options of {@linkcode parseBisectRequest}. */
export const REQUEST_OPTIONS = {
  git: ["REPOSITORY", "a kernel's git repository, as a path or URL; it is only read"],
  patches: ["DIR", "patches NNNN-*.patch as git format-patch and deno task kernel:series write them"],
  good: [
    "REF",
    "a commit that is good; of patches the number or file name of one, 0 for none of them; " +
    "the first patch with all of the checkpoint code by default",
  ],
  bad: ["REF", "a commit or patch that is bad; the last patch by default"],
  "first-parent": "what a merge brought is one change",
  series: ["NAME", "the kernel that patches are for: 5.10, 6.1 (default) or 6.12 of Debian"],
  "kernel-tree": ["DIR", "or the source tree that they are for; it is only read"],
  suite: ["NAME", "catalogue (default), faults or fuzz"],
  filter: ["TEXT...", "only scenarios whose name contains TEXT"],
  count: ["N", "programs of the suite fuzz, 1000 by default"],
  seed: ["N", "which programs, 1 by default"],
  arch: ["NAME", "x86_64 (default), i386, i386-pae or compat"],
  flavour: ["NAME", "plain (default), debug or fault"],
  confidence: ["P", "go on until the answer is right with that probability; 0.99 by default"],
  runs: ["N", "most runs of one change, 30 by default"],
  deadline: ["TIME", "a run and its build are ended after that; 2h by default"],
} satisfies OptionSpecs;

const SUITES = ["catalogue", "faults", "fuzz"] as const;
const DEFAULT_CONFIDENCE = 0.99;
const DEFAULT_RUNS = 30;
const DEFAULT_DEADLINE = "2h";
const MAX = 0x7fff_ffff;

/** Reads what is asked for from a command line. @throws {UsageError} naming the option */
export function parseBisectRequest(options: ParsedOptions): BisectRequest {
  const flavour = options.choice("flavour", KERNEL_FLAVOURS) ?? "plain";
  const suite = suiteOf(options);
  if (suite.kind === "faults" && flavour === "plain") {
    throw new UsageError(
      "--suite faults needs --flavour debug or fault: plain kernels have no fault injection",
    );
  }
  const deadline = options.string("deadline") ?? DEFAULT_DEADLINE;
  const deadlineSeconds = parseSeconds(deadline);
  if (!deadlineSeconds) {
    throw new UsageError(`option --deadline takes a time such as 90s or 30min: found "${deadline}"`);
  }
  return {
    source: sourceOf(options),
    platform: options.choice("arch", PLATFORM_NAMES) ?? "x86_64",
    ...{ flavour, suite, deadlineSeconds },
    confidence: confidenceOf(options.string("confidence")),
    maxRuns: options.number("runs", { min: 1, max: 1000 }) ?? DEFAULT_RUNS,
  };
}

function sourceOf(options: ParsedOptions): BisectSource {
  const [repository, directory] = [options.string("git"), options.string("patches")];
  const [good, bad] = [options.string("good"), options.string("bad")];
  if ((repository === undefined) === (directory === undefined)) {
    const found = repository === undefined ? "neither" : "both";
    throw new UsageError(`expected either --git or --patches: found ${found}`);
  }
  if (directory !== undefined) {
    if (options.flag("first-parent")) throw new UsageError("option --first-parent goes with --git");
    const path = options.string("kernel-tree");
    if (path !== undefined && options.string("series") !== undefined) {
      throw new UsageError("expected either --series or --kernel-tree: found both");
    }
    const series = options.choice("series", PORTED_SERIES) ?? DEFAULT_SERIES;
    return {
      kind: "patches",
      directory: resolve(directory),
      base: path === undefined ? { kind: "debian", series } : { kind: "directory", path: resolve(path) },
      ...(good === undefined ? {} : { good }),
      ...(bad === undefined ? {} : { bad }),
    };
  }
  for (const name of ["series", "kernel-tree"]) {
    if (options.string(name) !== undefined) throw new UsageError(`option --${name} goes with --patches`);
  }
  if (good === undefined || bad === undefined) {
    throw new UsageError(`option --${good === undefined ? "good" : "bad"} is missing: which commit is it?`);
  }
  const place = isGitUrl(repository!) ? repository! : resolve(repository!);
  return { kind: "git", repository: place, good, bad, firstParent: options.flag("first-parent") };
}

function suiteOf(options: ParsedOptions): CkptestSuite {
  const kind = options.choice("suite", SUITES) ?? "catalogue";
  const filter = options.list("filter");
  const count = options.number("count", { min: 1, max: MAX });
  const seed = options.number("seed", { min: 0, max: MAX });
  if (kind === "fuzz") {
    if (filter.length > 0) throw new UsageError("option --filter goes with --suite catalogue or faults");
    return { kind, count: count ?? 1000, seed: seed ?? 1 };
  }
  if (count !== undefined || seed !== undefined) {
    throw new UsageError(`option --${count === undefined ? "seed" : "count"} goes with --suite fuzz`);
  }
  return { kind, filter };
}

function confidenceOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_CONFIDENCE;
  const value = /^0?\.\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 0.5 && value <= 0.9999) return value;
  throw new UsageError(`option --confidence must be a number from 0.5 to 0.9999: found "${text}"`);
}
