// SPDX-License-Identifier: MIT

import { type CompiledScenario, compileScenario } from "../../lib/model/compile_scenario.ts";
import { type Scenario, ScenarioError, selfScenario, selfSkipReason } from "../../lib/model/scenario.ts";
import type { CompileTarget } from "../../lib/model/state/model_state.ts";
import { ExpectedError } from "../../vm/host/errors.ts";
import { scenarioFile } from "./catalogue.ts";
import type { Platform } from "./platform.ts";
import { unmetNeed } from "./unmet_needs.ts";

/** Scenarios made ready for one target. */
export type CompiledCatalogue = ReadonlyMap<Scenario, CompiledScenario>;

interface CompileRequest {
  readonly platform: Platform;
  readonly target: CompileTarget;
  readonly self: boolean;
}

/** Mistakes that are shown: the rest may follow from the first. */
const MAX_SHOWN = 20;

/**
 * Compiles the scenarios that fit a platform. Those that run programs, or that the platform does not fit, are left out.
 *
 * @throws {ExpectedError} naming the file and the step of each mistake
 */
export function compileCatalogue(scenarios: readonly Scenario[], request: CompileRequest): CompiledCatalogue {
  const { platform, target, self } = request;
  const compiled = new Map<Scenario, CompiledScenario>();
  const mistakes: string[] = [];
  for (const scenario of scenarios) {
    const isLeftOut = scenario.program !== undefined ||
      unmetNeed(scenario, { platform, config: undefined, release: undefined }) !== undefined ||
      (self && selfSkipReason(scenario) !== undefined);
    if (isLeftOut) continue;
    try {
      compiled.set(scenario, compileScenario(self ? selfScenario(scenario) : scenario, target));
    } catch (error) {
      if (!(error instanceof ScenarioError)) throw error;
      // The message begins with the scenario's name.
      mistakes.push(error.message.replace(scenario.name, () => scenarioFile(scenario) ?? scenario.name));
    }
  }
  if (mistakes.length === 0) return compiled;
  const more = mistakes.length > MAX_SHOWN ? [`... and ${mistakes.length - MAX_SHOWN} more`] : [];
  const count = mistakes.length === 1 ? "1 scenario" : `${mistakes.length} scenarios`;
  throw new ExpectedError(
    [`${count} cannot be compiled for ${platform.name}:`, ...mistakes.slice(0, MAX_SHOWN), ...more].join(
      "\n  ",
    ),
  );
}
