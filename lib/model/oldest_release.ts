// SPDX-License-Identifier: MIT

import type { TargetArch } from "../abi/arch.ts";
import { isOlder } from "../abi/release.ts";
import type { Scenario } from "./scenario.ts";
import type { Since } from "./steps/define_step.ts";
import { definitionOf } from "./steps/steps.ts";

/**
 * The oldest release of Linux that can carry a scenario's steps out, and the youngest thing that they need of it;
 * undefined where 2.6.27 will do.
 */
export function oldestRelease({ steps = [] }: Scenario, target: TargetArch): Since | undefined {
  let oldest: Since | undefined;
  for (const step of steps) {
    for (const { release, what } of definitionOf(step).since(step, target)) {
      if (oldest === undefined || isOlder(oldest.release, release)) {
        oldest = { release, what: `${step.op} ${what}` };
      }
    }
  }
  return oldest;
}
