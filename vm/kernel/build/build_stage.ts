// SPDX-License-Identifier: MIT
import { InterruptedError } from "../../host/errors.ts";
import { withFileLock } from "../../host/file_lock.ts";
import { MissingToolError } from "../../host/find_tool.ts";
import { type CommandResult, runCommand, type RunCommandOptions } from "../../host/run_command.ts";
import { BuildError, type BuildStage, DISK_FULL_HINT, isDiskFull, isDiskNearlyFull } from "./build_error.ts";

/** A sign of life from a kernel build. */
export interface BuildProgress {
  stage: BuildStage;
  message: string;
  seconds: number;
  /** Steps that make has carried out so far (compile, assemble, link), in stage `build`. */
  steps?: number;
  /** Steps that the last build from nothing of the same tree took, when known. */
  expectedSteps?: number;
}

/** Receives signs of life; called some times a second at most. */
export type OnBuildProgress = (progress: BuildProgress) => void;

/** Tells of a stage under way. */
export type StageReport = (message: string, more?: Partial<BuildProgress>) => void;

/** What tells of a stage that begins now. */
export function stageReport(stage: BuildStage, onProgress: OnBuildProgress | undefined): StageReport {
  const start = performance.now();
  return (message, more) =>
    onProgress?.({ stage, message, seconds: (performance.now() - start) / 1000, ...more });
}

/** Calls `tell` now, and every second until the work is done. */
export async function tellingEverySecond<T>(tell: () => void, work: () => Promise<T>): Promise<T> {
  tell();
  const timer = setInterval(tell, 1000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/** Works with a lock, and tells which process it waits for. @param doing what the holder of the lock does */
export function withStageLock<T>(
  path: string,
  { doing, report }: { doing: string; report: StageReport },
  work: () => Promise<T>,
): Promise<T> {
  return withFileLock(path, work, { onWait: (pid) => report(`waiting for process ${pid}, which ${doing}`) });
}

/**
 * Runs one stage and turns whatever it throws into a BuildError of that stage: a missing tool, a full disk, a
 * file that cannot be read. A BuildError passes unchanged.
 */
export async function inStage<T>(stage: BuildStage, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof BuildError || cause instanceof InterruptedError || !(cause instanceof Error)) {
      throw cause;
    }
    const toolHint = cause instanceof MissingToolError ? "run ./setup" : undefined;
    const hint = isDiskFull(cause) ? DISK_FULL_HINT : toolHint;
    throw new BuildError({ stage, problem: cause.message, hint }, { cause });
  }
}

interface StageCommandOptions extends RunCommandOptions {
  /** Where the tool writes: looked at for free space when the tool fails. */
  outputDir?: string;
  /** Calls sources in the tool's lines as the user calls them. */
  nameSources?: (line: string) => string;
}

/**
 * Runs a tool on behalf of a build stage.
 *
 * @throws {BuildError} of that stage when the tool does not end with status 0.
 */
export async function runStageCommand(
  stage: BuildStage,
  argv: readonly [string, ...string[]],
  options: StageCommandOptions = {},
): Promise<CommandResult> {
  const { outputDir, logPath, nameSources = (line) => line } = options;
  const result = await runCommand(argv, options);
  if (result.code === 0) return result;
  const isFull = result.lines.some(isDiskFull) ||
    outputDir !== undefined && await isDiskNearlyFull(outputDir);
  const ending = result.signal === null ? `exit status ${result.code}` : `signal ${result.signal}`;
  throw new BuildError({
    stage,
    problem: `${argv[0] === "setpriv" ? "make" : argv[0]} ended with ${ending}`,
    hint: isFull ? DISK_FULL_HINT : undefined,
    command: argv,
    lines: result.lines.map(nameSources),
    logPath,
  });
}
