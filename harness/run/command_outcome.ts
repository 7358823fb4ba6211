// SPDX-License-Identifier: MIT

import type { ExitStatus } from "../../vm/host/errors.ts";
import { writeJson } from "../../vm/host/write_whole.ts";

/** Raised when what the file of a {@linkcode CommandOutcome} says changes its meaning. */
const OUTCOME_SCHEMA = 1;

/** What a command tells beside its exit status. */
export interface CommandReport {
  readonly status: ExitStatus;
  /** Kernels that it built or found in the cache. */
  readonly kernels?: readonly { readonly platform: string; readonly cached: boolean }[];
  /** What a suite that writes no `results.json` found. */
  readonly findings?: readonly CommandFinding[];
}

/** What a failing program of `fuzz` shows. */
export interface CommandFinding {
  /** Id of the finding, or the title of the kernel's complaint behind `splat: `; empty when it has neither. */
  readonly key: string;
  /** In a line. */
  readonly text: string;
}

/** What `ckptest --outcome FILE COMMAND` writes for the process that started it. */
export interface CommandOutcome extends CommandReport {
  /** What the user was told, when it could not be carried out. */
  readonly problem?: string | undefined;
}

/** Writes an outcome. @throws {UsageError} when the file cannot be written */
export async function writeOutcome(path: string, outcome: CommandOutcome): Promise<void> {
  await writeJson(path, { schema: OUTCOME_SCHEMA, ...outcome });
}

/**
 * Reads the outcome of a child process; undefined when it left none, as one does that was killed or failed by an
 * error of its own.
 */
export async function readOutcome(path: string): Promise<CommandOutcome | undefined> {
  try {
    const { schema, ...outcome } = JSON.parse(await Deno.readTextFile(path));
    return schema === OUTCOME_SCHEMA ? outcome : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
