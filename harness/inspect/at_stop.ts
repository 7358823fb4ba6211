// SPDX-License-Identifier: MIT

import { findingText } from "../../lib/image/finding.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { didYouMean } from "../../vm/host/did_you_mean.ts";
import { ExpectedError, UsageError } from "../../vm/host/errors.ts";
import { findScenario } from "../run/catalogue.ts";
import { scenarioRunner } from "../run/case/scenario_runner.ts";
import type { Guest } from "../run/guest/guest.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";

interface ScenarioStop {
  readonly scenario: Scenario;
  readonly stop: string;
}

/** The only stop of a program that is run until it waits. */
const BLOCKED = "blocked";

/**
 * Reads `SCENARIO` or `SCENARIO:STOP`; the first stop by default.
 *
 * @throws {UsageError} naming what there is not
 */
export async function findStop(text: string): Promise<ScenarioStop> {
  const [, name = "", wanted] = /^(.*?)(?::([^:/]*))?$/s.exec(text) ?? [];
  const scenario = await findScenario(name);
  if (scenario.race) {
    throw new UsageError(`${name} races its target: no state of it comes before one checkpoint`);
  }
  const stops = scenario.program ? [BLOCKED] : (scenario.steps ?? []).flatMap(stopsOf);
  const stop = wanted ?? stops[0];
  if (stop !== undefined && stops.includes(stop)) return { scenario, stop };
  const hint = didYouMean(wanted ?? "", stops) || `: one of ${stops.join(", ")}`;
  throw new UsageError(`scenario ${name} has no stop "${wanted}"${hint}`);
}

/** The stops of a step, and of the steps in it. */
function stopsOf(step: NonNullable<Scenario["steps"]>[number]): string[] {
  const inner = "steps" in step ? step.steps as NonNullable<Scenario["steps"]> : [];
  return [...step.op === "stop" ? [step.label] : [], ...inner.flatMap(stopsOf)];
}

interface StoppedTarget {
  readonly pid: number;
  /** Has the rest of the scenario run, its checkpoint first. */
  readonly goOn: () => void;
}

/**
 * Runs a scenario up to a stop, whose target is then as its checkpoint would find it, and does some work there. What
 * comes of the rest, if it goes on, is of no interest: the guest ends with the work.
 *
 * @throws {ExpectedError} saying why it does not get there
 */
export async function workAtStop<T>(
  { guest, prepared, scenario, stop }: ScenarioStop & { guest: Guest; prepared: PreparedGuest },
  work: (target: StoppedTarget) => Promise<T>,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let isThere = false;
  const run = scenarioRunner(prepared, {
    beforeCall({ label, pid, isOwn }) {
      if (isThere || label !== stop) return Promise.resolve();
      isThere = true;
      const { promise: held, resolve: goOn } = Promise.withResolvers<void>();
      if (isOwn) {
        reject(new UsageError(`the target of ${scenario.name} makes the call of stop "${stop}" itself`));
      } else work({ pid, goOn }).then(resolve, reject);
      return held;
    },
  });
  run(guest, scenario).then(({ findings }) => {
    const why = findings.map((finding) => `\n  ${findingText(finding)}`).join("");
    if (!isThere) reject(new ExpectedError(`${scenario.name} did not get to its stop "${stop}"${why}`));
  }, (error) => {
    if (!isThere) reject(error);
  });
  return await promise;
}
