// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { list, object, oneOf, optional } from "../../lib/schema.ts";
import { EXIT_STATUS, type ExitStatus, UsageError } from "../../vm/host/errors.ts";
import { readVersioned } from "../../vm/host/versioned_json.ts";
import { writeJson } from "../../vm/host/write_whole.ts";
import { TEXT } from "./run_result.ts";

/** Raised when what the file of a {@linkcode CommandOutcome} says changes its meaning. */
const VERSION = 1;

const OUTCOME = object({
  schema: v.literal(VERSION, `${VERSION}`),
  status: oneOf(Object.values(EXIT_STATUS) as readonly ExitStatus[]),
  /** Kernels that it built or found in the cache. */
  kernels: optional(list(object({ platform: TEXT, cached: v.boolean("true or false") }))),
  /**
   * What a suite that writes no `results.json` found, such as a failing program of `fuzz`: the id of the finding, or
   * the title of the kernel's complaint behind `splat: ` (empty when it has neither), and the same in a line.
   */
  findings: optional(list(object({ key: TEXT, text: TEXT }))),
  /** What the user was told, when it could not be carried out. */
  problem: optional(TEXT),
});

/** What `ckptest --outcome FILE COMMAND` writes for the process that started it. */
export type CommandOutcome = Omit<Readonly<v.InferOutput<typeof OUTCOME>>, "schema">;
/** What a command tells beside its exit status. */
export type CommandReport = Omit<CommandOutcome, "problem">;
/** What a failing program of `fuzz` shows. */
export type CommandFinding = NonNullable<CommandOutcome["findings"]>[number];

/** Writes an outcome. @throws {UsageError} when the file cannot be written */
export async function writeOutcome(path: string, outcome: CommandOutcome): Promise<void> {
  await writeJson(path, { schema: VERSION, ...outcome });
}

/**
 * Reads the outcome of a child process; undefined when it left none, as one does that was killed. One that is not what
 * it must be is an error of ckptest itself.
 */
export async function readOutcome(path: string): Promise<CommandOutcome | undefined> {
  return await readVersioned(path, { schema: OUTCOME, version: VERSION }).catch((error) => {
    if (!(error instanceof UsageError)) throw error;
    return { status: EXIT_STATUS.internalError, problem: error.message };
  });
}
