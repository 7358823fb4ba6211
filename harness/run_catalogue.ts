// SPDX-License-Identifier: MIT

import type { Finding } from "../lib/image/finding.ts";
import type { Scenario } from "../lib/model/scenario.ts";
import { AgentError } from "../vm/agent_session.ts";
import { GuestLostError } from "../vm/guest_lost_error.ts";
import { UsageError } from "./exit_status.ts";
import type { Guest } from "./guest.ts";
import { findSplats } from "./kernel_log.ts";
import type { CaseOutcome } from "./run_case.ts";

/** What became of a scenario. `lost` says nothing about its image: the guest went away. */
export type Status = "pass" | "fail" | "skip" | "lost";

/** One scenario's result. */
export interface ScenarioResult {
  readonly scenario: string;
  readonly status: Status;
  /** Why it was skipped, or how the guest was lost. */
  readonly reason: string | undefined;
  readonly outcome: CaseOutcome | undefined;
  readonly milliseconds: number;
  /** The kernel log from the scenario's start to its end. */
  readonly kernelLog: string;
  /** For a scenario that failed or lost its guest: whether it did so again alone in a fresh guest. */
  readonly reproduced: boolean | undefined;
  /** How the guest was started. */
  readonly guestCommand: string;
}

/** How {@linkcode runCatalogue} is called. */
export interface CatalogueOptions {
  readonly startGuest: () => Promise<Guest>;
  readonly runScenario: (guest: Guest, scenario: Scenario) => Promise<CaseOutcome>;
  /** Why a scenario cannot run on this kernel; undefined when it can. */
  readonly skipReason: (scenario: Scenario) => string | undefined;
  readonly onGuest?: (guest: Guest) => void;
  readonly onStart?: (scenario: Scenario, index: number) => void;
  readonly onResult?: (result: ScenarioResult) => void;
  readonly now?: () => number;
}

/**
 * Runs scenarios one after another in one guest. A guest that was lost, or whose kernel complained, is thrown
 * away, a fresh one started, and the scenario that did it run again alone there.
 */
export async function runCatalogue(
  scenarios: readonly Scenario[],
  options: CatalogueOptions,
): Promise<ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  let guest: Guest | undefined;
  try {
    for (const [index, scenario] of scenarios.entries()) {
      options.onStart?.(scenario, index);
      const reason = options.skipReason(scenario);
      let result: ScenarioResult;
      if (reason !== undefined) {
        result = skipped(scenario, reason);
      } else {
        guest ??= await start(options);
        result = await attempt(guest, scenario, options);
        if (result.status !== "pass") {
          await guest[Symbol.asyncDispose]();
          guest = undefined;
          result = await again(result, scenario, options);
        }
      }
      results.push(result);
      options.onResult?.(result);
    }
  } finally {
    await guest?.[Symbol.asyncDispose]();
  }
  return results;
}

async function start(options: CatalogueOptions): Promise<Guest> {
  const guest = await options.startGuest();
  options.onGuest?.(guest);
  return guest;
}

function skipped(scenario: Scenario, reason: string): ScenarioResult {
  return {
    scenario: scenario.name,
    status: "skip",
    reason,
    outcome: undefined,
    milliseconds: 0,
    kernelLog: "",
    reproduced: undefined,
    guestCommand: "",
  };
}

async function again(
  first: ScenarioResult,
  scenario: Scenario,
  options: CatalogueOptions,
): Promise<ScenarioResult> {
  await using fresh = await start(options);
  const second = await attempt(fresh, scenario, options);
  return { ...first, reproduced: second.status !== "pass" };
}

async function attempt(guest: Guest, scenario: Scenario, options: CatalogueOptions): Promise<ScenarioResult> {
  const now = options.now ?? (() => performance.now());
  const begin = now();
  const mark = guest.consoleMark;
  const base = { scenario: scenario.name, reproduced: undefined, guestCommand: guest.command };
  try {
    const outcome = await options.runScenario(guest, scenario);
    const kernelLog = guest.consoleText(mark);
    const splats = findSplats(kernelLog).map(splatFinding);
    const whole = { ...outcome, findings: [...outcome.findings, ...splats] };
    return {
      ...base,
      status: isClean(whole) ? "pass" : "fail",
      reason: undefined,
      outcome: whole,
      milliseconds: now() - begin,
      kernelLog,
    };
  } catch (error) {
    if (!(error instanceof GuestLostError || error instanceof AgentError || error instanceof UsageError)) {
      throw error;
    }
    return {
      ...base,
      // An agent that answered with an error, or a program that did not run, fails its scenario; the guest is
      // well.
      status: error instanceof GuestLostError ? "lost" : "fail",
      reason: error.message,
      outcome: undefined,
      milliseconds: now() - begin,
      kernelLog: guest.consoleText(mark),
    };
  }
}

/**
 * No stop and no part of the case has a finding, and there was a stop at all: an empty case proves nothing.
 */
export function isClean(outcome: CaseOutcome): boolean {
  return outcome.stops.length > 0 && outcome.findings.length === 0 &&
    outcome.stops.every((stop) => stop.findings.length === 0 && stop.counts.unexplained === 0);
}

function splatFinding(title: string): Finding {
  return {
    id: "E_SPLAT",
    verdict: "mismatch",
    path: "kernel log",
    message: "the kernel complained while the scenario ran",
    actual: title,
  };
}
