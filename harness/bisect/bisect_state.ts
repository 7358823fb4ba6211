// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { join } from "@std/path";
import { either, integer, list, object, oneOf, optional, record } from "../../lib/schema.ts";
import { readVersioned } from "../../vm/host/versioned_json.ts";
import { writeJson } from "../../vm/host/write_whole.ts";
import { NUMBER, TEXT } from "../run/run_result.ts";
import { PLATFORM_NAMES } from "../../lib/abi/arch.ts";
import { PORTED_SERIES } from "../../lib/abi/series.ts";
import { KERNEL_FLAVOURS } from "../../vm/kernel/config/kernel_flavour.ts";

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

const SKIP = object({
  kind: oneOf(["build", "boot", "guest lost", "deadline", "nothing ran", "other failure", "other"]),
  text: TEXT,
});

const FAILURE = object({
  scenario: TEXT,
  /** Ids of findings, and titles of complaints of the kernel behind `splat: `. */
  keys: list(TEXT),
  lost: v.boolean("true or false"),
  text: TEXT,
});

const OUTCOME = {
  /** Set when it says nothing. */
  skip: optional(SKIP),
  passed: list(TEXT),
  skipped: list(TEXT),
  failures: list(FAILURE),
};

const RUN = object({
  change: TEXT,
  ...OUTCOME,
  /** With the building. */
  seconds: NUMBER,
  /** Directory of its files, from that of the bisect. */
  files: TEXT,
});

const CHANGE = object({
  id: TEXT,
  /** What people call it: a short hash, or the file name of a patch. */
  name: TEXT,
  title: TEXT,
  /** `NAME <EMAIL>`. */
  author: TEXT,
  /** When it was written, as ISO 8601. */
  date: TEXT,
});

const ANSWER = object({
  /** The first bad change, or all that may be it when the others could not be tried; oldest first. */
  firstBad: list(CHANGE),
  /** Probability that the first bad change is among them. */
  confidence: NUMBER,
  failure: optional(FAILURE),
  /** Runs of bad changes that showed the failure, and all that could have shown it. */
  rate: object({ failed: NUMBER, runs: NUMBER }),
  /** Why there is no answer: an end is not what it was said to be. */
  problem: optional(SKIP),
});

/** Raised when what `bisect.json` says changes its meaning. */
const VERSION = 3;

const STATE = object({
  schema: v.literal(VERSION, `${VERSION}`),
  request: REQUEST,
  /** Ids of the ends: names of branches move. */
  good: TEXT,
  bad: TEXT,
  /** Names of patches by the ids of their commits, the kernel without any of them first. */
  patches: record(v.string(), TEXT),
  runs: list(RUN),
  answer: optional(ANSWER),
});

/** Why a run says nothing of the failure. */
export type SkipReason = Readonly<v.InferOutput<typeof SKIP>>;
/** A failing scenario, with what it can be told from others by. */
export type Failure = Readonly<v.InferOutput<typeof FAILURE>>;
/** One run of the suite on the kernel after one change. */
export type BisectRun = Readonly<v.InferOutput<typeof RUN>>;
/** What one run of a suite says of the kernel. */
export type RunOutcome = Omit<BisectRun, "change" | "seconds" | "files">;
/** A change of a kernel: a commit, or a patch of a series. */
export type Change = Readonly<v.InferOutput<typeof CHANGE>>;
/** What a bisect found. */
export type BisectAnswer = Readonly<v.InferOutput<typeof ANSWER>>;
/** What a bisect knows: after an interruption it goes on from this alone. */
export type BisectState = Omit<Readonly<v.InferOutput<typeof STATE>>, "schema">;

/** Reads what a bisect has found out so far; undefined when none has begun in the directory. */
export async function readBisectState(directory: string): Promise<BisectState | undefined> {
  return await readVersioned(join(directory, "bisect.json"), { schema: STATE, version: VERSION });
}

/** Keeps what a bisect knows. */
export async function writeBisectState(directory: string, state: BisectState): Promise<void> {
  await writeJson(join(directory, "bisect.json"), { ...state, schema: VERSION });
}

/** What {@linkcode REQUEST} lets through. */
export type BisectRequest = Readonly<v.InferOutput<typeof REQUEST>>;
/** Where the changes come from. */
export type BisectSource = BisectRequest["source"];
