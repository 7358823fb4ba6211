// SPDX-License-Identifier: MIT

import fc from "fast-check";
import { type Finding, findingText } from "../../lib/image/finding.ts";
import { parseScenario, type Scenario, type Step } from "../../lib/model/scenario.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import { HarnessFault, isClean } from "../run/scenario_result.ts";
import { ExpectedError } from "../../vm/host/errors.ts";
import type { CommandFinding } from "../run/command_outcome.ts";
import type { Guest } from "../run/guest/guest.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";
import { scenarioRunner } from "../run/case/scenario_runner.ts";
import { parseSplats } from "../triage/parse_splats.ts";
import { stepsArbitrary, SWAP_SETUP } from "./draw_steps.ts";

interface FuzzOptions {
  readonly seed: number;
  readonly count: number;
  readonly tracers?: boolean;
  readonly restart?: boolean;
  /** Programs at the beginning that are drawn and not run. */
  readonly skip?: number;
  readonly onProgress?: (done: number) => void;
}

/** What random programs showed. */
export interface FuzzResult {
  /** How many passed, those that were skipped among them; with a failure the number of the one that failed. */
  readonly programs: number;
  readonly stopped: boolean;
  /** Programs that were run to find the smallest one. */
  readonly shrinks: number;
  readonly milliseconds: number;
  /** The smallest program that fails, with what it leads to; undefined when all passed. */
  readonly failure: { readonly scenario: Scenario; readonly findings: readonly CommandFinding[] } | undefined;
}

/** Tells a program that failed from an error of the harness. */
class MismatchFound extends Error {
  override name = "MismatchFound";
}

/**
 * Runs random programs in one guest and compares each image with the prediction; a failing one is made small.
 */
export async function runFuzz(prepared: PreparedGuest, options: FuzzOptions): Promise<FuzzResult> {
  const run = scenarioRunner(prepared);
  const begin = performance.now();
  const { skip = 0 } = options;
  const { signal } = prepared;
  let guest: Guest | undefined;
  let drawn = 0;
  let done = 0;
  let failed = false;
  const property = fc.asyncProperty(
    stepsArbitrary({
      target: prepared.compileTarget,
      swap: true,
      tracers: options.tracers ?? false,
      restarts: options.restart ?? false,
    }),
    async (steps) => {
      if (++drawn <= skip) return void done++;
      endIfInterrupted(signal);
      guest ??= await prepared.startGuest();
      const findings = await findingsOf(guest, scenarioOf(steps), run);
      // What a guest shows that was ended meanwhile is no finding.
      if (findings.length > 0) endIfInterrupted(signal);
      if (findings.length > 0) {
        failed = true;
        await guest[Symbol.asyncDispose]();
        guest = undefined;
      }
      if (!failed) options.onProgress?.(++done);
      if (findings.length > 0) throw new MismatchFound(findings.map(({ text }) => text).join("\n"));
    },
  );
  try {
    const details = await fc.check(property, {
      seed: options.seed,
      numRuns: options.count,
      endOnFailure: false,
    });
    const steps = details.counterexample?.[0];
    const { interrupted: stopped } = details;
    const base = {
      programs: stopped ? done : details.numRuns,
      stopped,
      shrinks: details.numShrinks,
      milliseconds: performance.now() - begin,
    };
    if (stopped || !details.failed || !steps) return { ...base, failure: undefined };
    if (!(details.errorInstance instanceof MismatchFound)) throw details.errorInstance;
    const scenario = scenarioOf(steps);
    await using fresh = await prepared.startGuest();
    return { ...base, failure: { scenario, findings: await findingsOf(fresh, scenario, run) } };
  } finally {
    await guest?.[Symbol.asyncDispose]();
  }
}

/** Ends the drawing of programs, and the search for a smaller one. */
function endIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new fc.PreconditionFailure(true);
}

function scenarioOf(steps: readonly Step[]): Scenario {
  const about = "Found by random programs: say what it shows.";
  return parseScenario({ about, setup: SWAP_SETUP, steps }, "random");
}

async function findingsOf(
  guest: Guest,
  scenario: Scenario,
  run: (guest: Guest, scenario: Scenario) => ReturnType<ReturnType<typeof scenarioRunner>>,
): Promise<CommandFinding[]> {
  const mark = guest.console.offset;
  try {
    const outcome = await run(guest, scenario);
    const splats = parseSplats(guest.console.text(mark));
    if (isClean(outcome) && splats.length === 0) return [];
    const findings: Finding[] = [...outcome.findings, ...outcome.stops.flatMap((stop) => stop.findings)];
    return [
      ...splats.map(({ title }) => ({ key: `splat: ${title}`, text: title })),
      ...findings.map((finding) => ({ key: finding.id, text: findingText(finding) })),
      ...(findings.length + splats.length ? [] : [{ key: "", text: "no image" }]),
    ];
  } catch (error) {
    if (error instanceof GuestLostError) return [{ key: "", text: error.message }];
    if (error instanceof ExpectedError) throw error;
    const fault = HarnessFault.of(error).toFinding();
    return [{ key: fault.id, text: findingText(fault) }];
  }
}
