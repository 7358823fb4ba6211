// SPDX-License-Identifier: MIT

import { ownCommand } from "../../vm/host/own_command.ts";
import { describeCall } from "./ldt_program.ts";
import type { FuzzResult } from "./run_fuzz.ts";
import type { LdtFailure, LdtFuzzResult } from "./run_ldt_fuzz.ts";

/** What random programs are drawn, and how. */
export interface FuzzSettings {
  readonly seed: number;
  readonly count: number;
  /** Programs at the beginning that are drawn and not run. */
  readonly skip: number;
  /** Whether sequences of modify_ldt are drawn in place of programs. */
  readonly ldt: boolean;
  readonly tracers: boolean;
  readonly restart: boolean;
  /** The options of the command line that say on what. */
  readonly others: readonly string[];
}

/** The command that draws the same programs on a platform. */
function fuzzCommandLine(platform: string, { seed, count, others }: FuzzSettings, skip = 0): string {
  const draw = Object.entries({ seed, count, ...skip > 0 && { skip } });
  const words = draw.flatMap(([name, value]) => [`--${name}`, String(value)]);
  return ownCommand(["ckptest", "fuzz", "--arch", platform, ...words, ...others]);
}

/** What is said of random programs that were interrupted. */
function stoppedLines(platform: string, settings: FuzzSettings, done: number): string[] {
  const passed = done - settings.skip;
  const what = settings.ldt ? "LDT sequences" : "programs";
  return [
    `stopped ${platform}: ${passed} ${what} passed, up to ${done} of ${settings.count}`,
    `go on with: ${fuzzCommandLine(platform, settings, done)}`,
  ];
}

const MAX_FINDINGS = 8;

/** The lines that say how random programs went. */
export function fuzzReport(result: FuzzResult, platform: string, settings: FuzzSettings): string[] {
  const { programs, shrinks, milliseconds, failure } = result;
  if (result.stopped) return stoppedLines(platform, settings, programs);
  if (!failure) {
    const rate = Math.round((programs - settings.skip) / (milliseconds / 60_000));
    return [`ok    ${platform}: ${programs} programs passed, ${rate} programs a minute`];
  }
  const { scenario: { name: _name, ...steps }, findings } = failure;
  return [
    `FAIL  ${platform}: program ${programs}, made small in ${shrinks} steps:`,
    JSON.stringify(steps, null, 2),
    ...findings.slice(0, MAX_FINDINGS).map(({ text }) => `      ${text}`),
    ...findings.length > 0
      ? []
      : ["      run alone in a fresh guest it passes: the failure depends on what ran before"],
    "      save the scenario as fixtures/scenarios/NAME.json, then: deno task test:qemu --filter NAME",
    `      reproduce: ${fuzzCommandLine(platform, settings)}`,
  ];
}

/** The lines that say how sequences of modify_ldt went. */
export function ldtFuzzReport(result: LdtFuzzResult, platform: string, settings: FuzzSettings): string[] {
  const { sequences, steps, checks, milliseconds, failure } = result;
  if (result.stopped) return stoppedLines(platform, settings, sequences);
  if (failure) {
    return [
      `FAIL  ${platform}: LDT sequence ${failure.index} of seed ${settings.seed}, ${failure.drawn} calls, ` +
      `made small in ${result.shrinks} runs:`,
      ...failureLines(failure),
      `      reproduce: ${fuzzCommandLine(platform, settings)}`,
    ];
  }
  const rate = Math.round((sequences - settings.skip) / (milliseconds / 60_000));
  return [
    `ok    ${platform}: ${sequences} LDT sequences as the kernel does them, ${rate} sequences a minute`,
    `      ${steps.modify_ldt} calls of modify_ldt, ${steps.load} loads of a selector, ` +
    `${steps.fork} forks, ${steps.exec} execs; ${checks} results compared`,
  ];
}

function failureLines({ calls, mismatch, alone }: LdtFailure): string[] {
  return [
    ...calls.map((call, step) => `    ${step === mismatch.step ? ">" : " "} ${describeCall(call)}`),
    ...(mismatch.step >= calls.length ? ["    > after the last call"] : []),
    `      ${mismatch.what}`,
    `      expected ${mismatch.expected}`,
    `      actual   ${mismatch.actual}`,
    ...(alone ? [] : ["      alone the sequence passes: the failure depends on what ran before"]),
  ];
}
