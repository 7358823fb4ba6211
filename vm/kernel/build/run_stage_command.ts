// SPDX-License-Identifier: MIT
import { type CommandResult, runCommand, type RunCommandOptions } from "../../host/run_command.ts";
import { BuildError, type BuildStage, DISK_FULL_HINT, isDiskFull, isDiskNearlyFull } from "./build_error.ts";

/** Settings of {@linkcode runStageCommand}. */
export interface StageCommandOptions extends RunCommandOptions {
  /** Where the tool writes: looked at for free space when the tool fails. */
  outputDir?: string;
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
  const result = await runCommand(argv, options);
  if (result.code === 0) return result;
  const full = result.lines.some(isDiskFull) ||
    (options.outputDir !== undefined && await isDiskNearlyFull(options.outputDir));
  const ending = result.signal === null ? `exit status ${result.code}` : `signal ${result.signal}`;
  throw new BuildError({
    stage,
    problem: `${argv[0] === "setpriv" ? "make" : argv[0]} ended with ${ending}`,
    command: argv,
    exitCode: result.code,
    lines: result.lines,
    ...(full ? { hint: DISK_FULL_HINT } : {}),
    ...(options.logPath === undefined ? {} : { logPath: options.logPath }),
  });
}
