// SPDX-License-Identifier: MIT

import { findingText } from "../lib/image/finding.ts";
import type { Scenario } from "../lib/model/scenario.ts";
import { beforeGuestEnds } from "./end_guest.ts";
import type { Guest } from "./guest.ts";
import { scenarioOfProcess } from "./leaks/process_log.ts";
import { findAllPageLeaks, pageLeakFindings } from "./leaks/page_leaks.ts";
import { nameScenarios, scanKmemleak } from "./leaks/kmemleak.ts";
import type { PreparedGuest } from "./prepare_guest.ts";
import { runCatalogue, type ScenarioResult } from "./run_catalogue.ts";
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
  const { name, flavour } = prepared.platform;
  const atEnd = async (guest: Guest): Promise<void> => {
    await atGuestEnd?.(guest);
    if (flavour === "debug") report.result(name, await leakResult(guest));
  };
  await runCatalogue(scenarios, {
    startGuest: beforeGuestEnds(prepared.startGuest, atEnd),
    runScenario: scenarioRunner(prepared, options),
    skipReason: prepared.skipReason,
    onGuest: (guest) => report.guest(guest),
    onStart: (scenario, index) => report.starting(name, scenario, index, scenarios.length),
    onResult: (result) => report.result(name, result),
  });
}

/** What has leaked by the end of a guest, as a result of its own: it may be of any scenario before. */
async function leakResult(guest: Guest): Promise<ScenarioResult> {
  const begin = performance.now();
  const objects = nameScenarios(await scanKmemleak(guest.agent), (pid) => scenarioOfProcess(guest, pid));
  const pages = pageLeakFindings(await findAllPageLeaks(guest.agent), undefined).map(findingText);
  const reason = [...pages, ...objects === "" ? [] : [objects]].join("\n");
  return {
    scenario: "leaks",
    status: reason === "" ? "pass" : "fail",
    reason: reason === "" ? undefined : reason,
    outcome: undefined,
    milliseconds: performance.now() - begin,
    kernelLog: guest.consoleText(),
    reproduced: undefined,
    guestCommand: guest.command,
  };
}
