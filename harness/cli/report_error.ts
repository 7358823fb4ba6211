// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { ScenarioError } from "../../lib/model/scenario.ts";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import { EXIT_STATUS, ExpectedError, InterruptedError, isSystemError } from "../../vm/host/errors.ts";
import type { CommandOutcome } from "../run/command_outcome.ts";
import { DISK_FULL_HINT, isDiskFull } from "../../vm/kernel/build/build_error.ts";

/** What a command ends with, and what the user is told on standard error; undefined where that is nothing. */
type ErrorReport = CommandOutcome & { readonly text: string | undefined };

/** Which command line an error ended. */
interface FailedCommand {
  readonly name: string;
  readonly args: readonly string[];
  /** Where stack traces are kept; below the cache by default. */
  readonly errorDirectory?: string;
}

/**
 * Says what a command ends with, and what it tells the user: the message of an error that was foreseen; of any
 * other one that it is ckptest's own, and where its stack trace is.
 */
export async function reportError(error: unknown, command: FailedCommand): Promise<ErrorReport> {
  const isUnread = error instanceof Deno.errors.BrokenPipe ||
    (error instanceof InterruptedError && error.status === EXIT_STATUS.brokenPipe);
  if (isUnread) return { status: EXIT_STATUS.brokenPipe, text: undefined, problem: error.message };
  const foreseen = foreseenText(error);
  if (foreseen === undefined) return await reportUnforeseen(error, command);
  return {
    status: error instanceof ExpectedError ? error.status : EXIT_STATUS.usage,
    text: `ckptest ${command.name}: ${foreseen}`,
    problem: foreseen,
  };
}

function foreseenText(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const text = error instanceof ExpectedError ? error.explanation : error.message;
  if (isDiskFull(error) && !text.includes(DISK_FULL_HINT)) return `${text}\nhint: ${DISK_FULL_HINT}`;
  const isForeseen = error instanceof ExpectedError || error instanceof ScenarioError || isSystemError(error);
  return isForeseen || isDiskFull(error) ? text : undefined;
}

async function reportUnforeseen(error: unknown, command: FailedCommand): Promise<ErrorReport> {
  const { name, args } = command;
  const what = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${String(error)}`;
  const stack = error instanceof Error && error.stack !== undefined ? error.stack : what;
  const time = new Date().toISOString();
  const report = `${time} deno ${Deno.version.deno}\nckptest ${[name, ...args].join(" ")}\n\n${stack}\n`;
  let where: string;
  try {
    const directory = command.errorDirectory ?? join(cacheDirectory(), "errors");
    await Deno.mkdir(directory, { recursive: true });
    where = join(directory, `${time.replaceAll(/[:.]/g, "")}-${Deno.pid}.txt`);
    await Deno.writeTextFile(where, report);
  } catch {
    where = report.trimEnd();
  }
  const text = `ckptest ${name}: ${what.split("\n", 1)[0]}\n` +
    `this is an error of ckptest itself: please report it to its maintainers, with ${where}`;
  return { status: EXIT_STATUS.internalError, text, problem: what };
}
