// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import * as v from "valibot";
import { list, object, oneOf, optional, record } from "../../lib/schema.ts";
import { readVersioned } from "../../vm/host/versioned_json.ts";
import { writeJson } from "../../vm/host/write_whole.ts";
import { NUMBER, TEXT } from "../run/run_result.ts";
import { REQUEST } from "./bisect_request.ts";

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
