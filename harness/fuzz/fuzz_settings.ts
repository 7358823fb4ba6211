// SPDX-License-Identifier: MIT

import { ownCommand } from "../../vm/host/own_command.ts";

/** What random programs are drawn, and how. */
export interface FuzzSettings {
  readonly seed: number;
  readonly count: number;
  /** Programs at the beginning that are drawn and not run. */
  readonly skip: number;
  /** Whether sequences of modify_ldt are drawn in place of programs. */
  readonly ldt: boolean;
  readonly tracers: boolean;
  /** The options of the command line that say on what. */
  readonly others: readonly string[];
}

/** The command that draws the same programs on a platform. */
export function fuzzCommandLine(platform: string, { seed, count, others }: FuzzSettings, skip = 0): string {
  const draw = [
    "--seed",
    String(seed),
    "--count",
    String(count),
    ...skip > 0 ? ["--skip", String(skip)] : [],
  ];
  return ownCommand(["ckptest", "fuzz", "--arch", platform, ...draw, ...others]);
}

/** What is said of random programs that were interrupted. */
export function stoppedLines(platform: string, settings: FuzzSettings, done: number): string[] {
  const passed = done - settings.skip;
  return [
    `stopped ${platform}: ${passed} ${
      settings.ldt ? "LDT sequences" : "programs"
    } passed, up to ${done} of ${settings.count}`,
    `go on with: ${fuzzCommandLine(platform, settings, done)}`,
  ];
}
