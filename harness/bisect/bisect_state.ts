// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../../vm/host/errors.ts";
import { ignoreMissing } from "../../vm/host/ignore_missing.ts";
import { writeJson } from "../../vm/host/write_whole.ts";
import type { BisectRequest } from "./bisect_request.ts";
import type { FailureRate } from "./confidence.ts";
import type { BisectRun, Evidence } from "./evidence.ts";
import type { Failure, SkipReason } from "./run_outcome.ts";

/** The file of a bisect in its directory. */
const STATE_FILE = "bisect.json";
/** Raised when what it says changes its meaning. */
const STATE_SCHEMA = 2;

/** What a bisect knows: after an interruption it goes on from this and from git's own log. */
export interface BisectState {
  /** When it began, as Date.toISOString() writes it. */
  readonly started: string;
  readonly request: BisectRequest;
  /** Ids of the ends: names of branches move. */
  readonly good: string;
  readonly bad: string;
  /** Names of patches by the ids of their commits, the kernel without any of them first. */
  readonly patches: Readonly<Record<string, string>>;
  readonly runs: readonly BisectRun[];
  /** Undefined until the end. */
  readonly answer?: BisectAnswer;
}

/** What a bisect found. */
export interface BisectAnswer {
  /** The first bad change, or all that may be it when the others could not be tried; oldest first. */
  readonly firstBad: readonly Change[];
  /** Probability that the first bad change is among them. */
  readonly confidence: number;
  /** The failure that was looked for. */
  readonly failure?: Failure | undefined;
  /** How often it showed at bad changes. */
  readonly rate: FailureRate;
  /** Why there is no answer: an end is not what it was said to be. */
  readonly problem?: SkipReason | undefined;
}

/** A change of a kernel: a commit, or a patch of a series. */
export interface Change {
  /** Hash of the commit. */
  readonly id: string;
  /** What people call it: a short hash, or the file name of a patch. */
  readonly name: string;
  /** First line of its message. */
  readonly title: string;
  /** `NAME <EMAIL>`. */
  readonly author: string;
  /** When it was written, as ISO 8601. */
  readonly date: string;
}

/** How a bisect ended. */
export interface EndedBisect {
  readonly answer: BisectAnswer;
  readonly evidence: Evidence;
  readonly describe: (id: string) => Promise<Change>;
}

/** Reads what a bisect has found out so far; undefined when none has begun in the directory. */
export async function readBisectState(directory: string): Promise<BisectState | undefined> {
  const path = join(directory, STATE_FILE);
  const text = await Deno.readTextFile(path).catch(ignoreMissing);
  if (text === undefined) return undefined;
  const { schema, ...state } = JSON.parse(text);
  if (schema === STATE_SCHEMA) return state;
  throw new UsageError(`${path}: expected schema ${STATE_SCHEMA}, found ${schema}`);
}

/** Keeps what a bisect knows. */
export async function writeBisectState(directory: string, state: BisectState): Promise<void> {
  await writeJson(join(directory, STATE_FILE), { schema: STATE_SCHEMA, ...state });
}

/** What a bisect ends with: 0 only when it names one change. */
export function exitStatusOfBisect({ firstBad, problem }: BisectAnswer): ExitStatus {
  switch (problem?.kind) {
    case undefined:
      return firstBad.length === 1 ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
    case "build":
      return EXIT_STATUS.buildFailed;
    case "boot":
    case "guest lost":
      return EXIT_STATUS.guestLost;
    case "nothing ran":
      return EXIT_STATUS.nothingRan;
    case "other failure":
      return EXIT_STATUS.usage;
    default:
      return EXIT_STATUS.testFailed;
  }
}
