// SPDX-License-Identifier: MIT

import { DEFAULT_SERIES, PORTED_SERIES } from "../../../lib/abi/series.ts";
import type { Scenario } from "../../../lib/model/scenario.ts";
import { faultScenarios } from "../../faults/fault_scenarios.ts";
import { filterByName } from "../../run/catalogue.ts";
import { compileCatalogue } from "../../run/compile_catalogue.ts";
import { compileTargetOf } from "../../run/guest/guest_programs.ts";
import { parsePlatforms } from "../../run/platform.ts";
import type { NightlyPlan, PlannedJob } from "./planned_job.ts";

/**
 * Reads and compiles the scenarios of all jobs that are to run, for each platform, so that a mistake is told before
 * anything is built. What a kernel of the user's brings in differences shows when its job runs.
 *
 * @throws {ExpectedError} naming the file and the step of each mistake
 */
export async function checkScenarios(
  plan: Pick<NightlyPlan, "jobs" | "selected">,
  catalogue: readonly Scenario[],
): Promise<void> {
  const wanted = new Map<string, Set<Scenario>>();
  for (const job of plan.jobs.filter(({ name }) => plan.selected.includes(name))) {
    for (const scenario of scenariosOf(job, catalogue)) {
      const series = PORTED_SERIES.find((known) => optionsOf(job, "--series").includes(known)) ??
        DEFAULT_SERIES;
      const platform = `${job.platform}@${series}`;
      wanted.set(platform, (wanted.get(platform) ?? new Set()).add(scenario));
    }
  }
  for (const [name, scenarios] of wanted) {
    const platform = parsePlatforms({ arch: name, fallback: name })[0]!;
    compileCatalogue([...scenarios], { platform, target: await compileTargetOf(platform), self: false });
  }
}

function scenariosOf(job: PlannedJob, catalogue: readonly Scenario[]): readonly Scenario[] {
  if (job.suiteKind !== "catalogue" && job.suiteKind !== "faults") return [];
  const filters = optionsOf(job, "--filter");
  if (filters.length > 0 || job.suiteKind === "catalogue") return filterByName(catalogue, filters);
  return faultScenarios(catalogue);
}

function optionsOf({ command }: PlannedJob, name: string): string[] {
  if (command.kind !== "ckptest") return [];
  return command.args.filter((_, at) => command.args[at - 1] === name);
}
