// SPDX-License-Identifier: MIT

import type { Scenario } from "../lib/model/scenario.ts";
import { beforeGuestEnds } from "./end_guest.ts";
import type { Guest } from "./guest.ts";
import type { PreparedGuest } from "./prepare_guest.ts";
import { runCatalogue } from "./run_catalogue.ts";
import type { RunReport } from "./run_report.ts";
import { type RunnerOptions, scenarioRunner } from "./scenario_runner.ts";

/** What {@linkcode runPlatform} adds to the run. */
export interface PlatformRunOptions extends RunnerOptions {
  /** Done with each guest before it ends, unless it was lost. */
  readonly atGuestEnd?: (guest: Guest) => Promise<void>;
}

/** Runs scenarios on one prepared kernel and reports each. */
export async function runPlatform(
  prepared: PreparedGuest,
  scenarios: readonly Scenario[],
  report: RunReport,
  { atGuestEnd, ...options }: PlatformRunOptions = {},
): Promise<void> {
  const { name } = prepared.platform;
  await runCatalogue(scenarios, {
    startGuest: atGuestEnd ? beforeGuestEnds(prepared.startGuest, atGuestEnd) : prepared.startGuest,
    runScenario: scenarioRunner(prepared, options),
    skipReason: prepared.skipReason,
    onGuest: (guest) => report.guest(guest),
    onStart: (scenario, index) => report.starting(name, scenario, index, scenarios.length),
    onResult: (result) => report.result(name, result),
  });
}
