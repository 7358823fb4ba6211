// SPDX-License-Identifier: MIT
import { EXIT_STATUS, type ExitStatus, ExpectedError, isSystemError } from "../../host/errors.ts";
import { MissingToolError } from "../../host/find_tool.ts";
import { shellJoin } from "../../host/shell_quote.ts";

/** The stages of a kernel build, in order. */
export type BuildStage = "fetch" | "apply" | "configure" | "build" | "store";

/** What is known about a stage that failed. */
interface BuildErrorDetails {
  stage: BuildStage;
  problem: string;
  hint?: string | undefined;
  /** More lines, shown whole. */
  detail?: readonly string[] | undefined;
  /** The command that failed, if the stage failed in one. */
  command?: readonly string[] | undefined;
  /** The last lines of the command's output. */
  lines?: readonly string[] | undefined;
  /** The file that holds all of the output. */
  logPath?: string | undefined;
}

/** Lines that say what is wrong, as gcc, ld, make, patch and kconfig write them. */
const TELLING = new RegExp(
  [
    /(?:fatal )?error[: ]/,
    /undefined reference/,
    /multiple definition/,
    /\bFAILED\b/,
    /can't find file to patch/,
    /syntax error/,
    /No space left on device/,
    /No rule to make target/,
  ].map((pattern) => pattern.source).join("|"),
);
const MAX_TELLING = 20;
const MAX_TAIL = 15;

/** A stage of the kernel build failed. The message names the stage and shows the output that matters. */
export class BuildError extends ExpectedError {
  override readonly name = "BuildError";
  readonly stage: BuildStage;

  constructor(details: BuildErrorDetails, options?: ErrorOptions) {
    super(describe(details), options);
    this.stage = details.stage;
  }

  override get status(): ExitStatus {
    const isMendable = this.cause instanceof MissingToolError || isSystemError(this.cause);
    return isMendable ? EXIT_STATUS.usage : EXIT_STATUS.buildFailed;
  }
}

/** Picks what a person wants to read of a long output: lines that tell of errors, then the end. */
export function logTail(lines: readonly string[]): string {
  const end = lines.slice(-MAX_TAIL);
  const telling = lines.slice(0, -MAX_TAIL).filter((line) => TELLING.test(line)).slice(0, MAX_TELLING);
  return (telling.length === 0 ? end : [...telling, "[...]", ...end]).join("\n");
}

function describe(details: BuildErrorDetails): string {
  const tail = logTail(details.lines ?? []);
  const lines = [`kernel ${details.stage}: ${details.problem}`];
  if (details.hint !== undefined) lines.push(`hint: ${details.hint}`);
  lines.push(...(details.detail ?? []).map((line) => `  ${line}`));
  if (details.command !== undefined) lines.push(`command: ${shellJoin(details.command)}`);
  if (tail !== "") lines.push(tail.replace(/^/gm, "  | "));
  if (details.logPath !== undefined) lines.push(`full log: ${details.logPath}`);
  return lines.join("\n");
}

/** Hint for a full disk. */
export const DISK_FULL_HINT =
  "the disk is full: free some space (a first build needs about 3 GB), or set XDG_CACHE_HOME to a roomier place";
/** With less than this left, a step of a build may well have failed for want of space. */
const NEARLY_FULL = 8 * 1024 * 1024;

/**
 * Whether a directory's disk is (nearly) full, found out by writing. Some tools say nothing of it: ccache 4.7
 * ends with status 1 and no word.
 */
export async function isDiskNearlyFull(directory: string): Promise<boolean> {
  let path: string | undefined;
  try {
    path = await Deno.makeTempFile({ dir: directory, prefix: ".space-" });
    await Deno.writeFile(path, new Uint8Array(NEARLY_FULL));
    return false;
  } catch (error) {
    return isDiskFull(error);
  } finally {
    if (path !== undefined) await Deno.remove(path);
  }
}

/** Whether an error of Deno's, or a line of a tool's output, speaks of a full disk. */
export function isDiskFull(what: unknown): boolean {
  const text = what instanceof Error ? what.message : String(what);
  return /No space left on device|ENOSPC|Disk quota exceeded/.test(text);
}
