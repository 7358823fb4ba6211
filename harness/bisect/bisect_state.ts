// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { join } from "@std/path";
import type { PlatformName } from "../../lib/abi/arch.ts";
import { list, object, oneOf, record } from "../../lib/schema.ts";
import { readVersioned } from "../../vm/host/versioned_json.ts";
import { writeJson } from "../../vm/host/write_whole.ts";
import { NUMBER, TEXT } from "../run/run_result.ts";
import type { KernelFlavour } from "../../vm/kernel/config/kernel_flavour.ts";
import type { KernelSource } from "../../vm/kernel/source/kernel_source.ts";
import type { CkptestSuite } from "../nightly/plan/matrix.ts";

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
    readonly directory: string;
    readonly base: KernelSource;
    /** Numbers or file names; by default the first patch with all of the checkpoint code, and the last one. */
    readonly good?: string | undefined;
    readonly bad?: string | undefined;
  };

/** What a bisect is asked to do. */
export interface BisectRequest {
  readonly source: BisectSource;
  readonly platform: PlatformName;
  readonly flavour: KernelFlavour;
  readonly suite: CkptestSuite;
  readonly confidence: number;
  readonly maxRuns: number;
  readonly deadlineSeconds: number;
}

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

const RUN = object({
  change: TEXT,
  /** Set when it says nothing. */
  skip: v.optional(SKIP),
  passed: list(TEXT),
  skipped: list(TEXT),
  failures: list(FAILURE),
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
  failure: v.optional(FAILURE),
  /** Runs of bad changes that showed the failure, and all that could have shown it. */
  rate: object({ failed: NUMBER, runs: NUMBER }),
  /** Why there is no answer: an end is not what it was said to be. */
  problem: v.optional(SKIP),
});

/** Raised when what `bisect.json` says changes its meaning. */
const VERSION = 4;

const STATE = object({
  schema: v.literal(VERSION, `${VERSION}`),
  /** The options that say what is asked for. */
  options: list(TEXT),
  /** Ids of the ends: names of branches move. */
  good: TEXT,
  bad: TEXT,
  /** Names of patches by the ids of their commits, the kernel without any of them first. */
  patches: record(v.string(), TEXT),
  runs: list(RUN),
  answer: v.optional(ANSWER),
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
