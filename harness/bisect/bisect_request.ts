// SPDX-License-Identifier: MIT

import { resolve } from "@std/path";
import * as v from "valibot";
import { PLATFORM_NAMES } from "../../lib/abi/arch.ts";
import { DEFAULT_SERIES, PORTED_SERIES } from "../../lib/abi/series.ts";
import { either, integer, list, object, oneOf, optional } from "../../lib/schema.ts";
import { KERNEL_FLAVOURS } from "../../vm/kernel/config/kernel_flavour.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { isGitUrl } from "../../vm/host/run_git.ts";
import { parseSeconds } from "../run/quantity.ts";
import { NUMBER, TEXT } from "../run/run_result.ts";
import type { OptionSpecs, ParsedOptions } from "../cli/parse_options.ts";

const SUITES = ["catalogue", "faults", "fuzz"] as const;
const MAX = 0x7fff_ffff;

const GIT = object({
  kind: oneOf(["git"]),
  /** Absolute path, or URL. */
  repository: TEXT,
  good: TEXT,
  bad: TEXT,
  /** Whether what a merge brought counts as one change. */
  firstParent: v.boolean("true or false"),
});

const PATCHES = object({
  kind: oneOf(["patches"]),
  directory: TEXT,
  base: either(
    "a kernel",
    object({ kind: oneOf(["debian"]), series: oneOf(PORTED_SERIES) }),
    object({ kind: oneOf(["directory"]), path: TEXT }),
  ),
  /** Numbers or file names; by default the first patch with all of the checkpoint code, and the last one. */
  good: optional(TEXT),
  bad: optional(TEXT),
});

/** What a bisect is asked to do. */
export const REQUEST = object({
  /** Where the changes come from. */
  source: either("commits or patches", GIT, PATCHES),
  platform: oneOf(PLATFORM_NAMES),
  flavour: oneOf(KERNEL_FLAVOURS),
  suite: either(
    "a suite",
    object({ kind: oneOf(["catalogue", "faults"]), filter: list(TEXT) }),
    object({ kind: oneOf(["fuzz"]), count: integer(1, MAX), seed: integer(0, MAX) }),
  ),
  confidence: NUMBER,
  maxRuns: NUMBER,
  deadlineSeconds: NUMBER,
});

/** What {@linkcode REQUEST} lets through. */
export type BisectRequest = Readonly<v.InferOutput<typeof REQUEST>>;
/** Where the changes come from. */
export type BisectSource = BisectRequest["source"];

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

/** Reads what is asked for from a command line. @throws {UsageError} naming the option */
export function parseBisectRequest(options: ParsedOptions): BisectRequest {
  const flavour = options.choice("flavour", KERNEL_FLAVOURS) ?? "plain";
  const suite = suiteOf(options);
  if (suite.kind === "faults" && flavour === "plain") {
    throw new UsageError(
      "--suite faults needs --flavour debug or fault: plain kernels have no fault injection",
    );
  }
  return {
    source: sourceOf(options),
    platform: options.choice("arch", PLATFORM_NAMES) ?? "x86_64",
    ...{ flavour, suite },
    confidence: options.parsed("confidence", parseConfidence, "a number from 0.5 to 0.9999") ?? 0.99,
    maxRuns: options.number("runs", { min: 1, max: 1000 }) ?? 30,
    deadlineSeconds: options.parsed("deadline", parseDeadline, "a time such as 90s or 30min") ?? 7200,
  };
}

const SOURCE_OPTIONS = { git: ["first-parent"], patches: ["series", "kernel-tree"] } as const;

function sourceOf(options: ParsedOptions): BisectSource {
  const [repository, directory] = [options.string("git"), options.string("patches")];
  const [good, bad] = [options.string("good"), options.string("bad")];
  if ((repository === undefined) === (directory === undefined)) {
    const found = repository === undefined ? "neither" : "both";
    throw new UsageError(`expected either --git or --patches: found ${found}`);
  }
  const [mine, others] = directory === undefined ? ["git", "patches"] as const : ["patches", "git"] as const;
  const odd = SOURCE_OPTIONS[others].find((name) => options.flag(name) || options.string(name) !== undefined);
  if (odd !== undefined) throw new UsageError(`option --${odd} goes with --${others}, not with --${mine}`);
  if (directory !== undefined) {
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
  if (good === undefined || bad === undefined) {
    throw new UsageError(`option --${good === undefined ? "good" : "bad"} is missing: which commit is it?`);
  }
  const place = isGitUrl(repository!) ? repository! : resolve(repository!);
  return { kind: "git", repository: place, good, bad, firstParent: options.flag("first-parent") };
}

function suiteOf(options: ParsedOptions): BisectRequest["suite"] {
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

function parseConfidence(text: string): number | undefined {
  const value = /^0?\.\d+$/.test(text) ? Number(text) : Number.NaN;
  return value >= 0.5 && value <= 0.9999 ? value : undefined;
}

/** 0 is none. */
function parseDeadline(text: string): number | undefined {
  return parseSeconds(text) || undefined;
}
