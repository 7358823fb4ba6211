// SPDX-License-Identifier: MIT

import { isSelf } from "./call_pid.ts";
import type { Scenario } from "./scenario.ts";
import type { Step } from "./steps/steps.ts";

/** What a stop can say of a target that calls for itself. */
const SELF_WORDS = ["op", "label", "expect"];

/** Why a scenario cannot be run where tasks only checkpoint themselves; undefined when it can. */
export function selfSkipReason({ program, judge, setup = [], steps = [] }: Scenario): string | undefined {
  const outside = "a task that is checkpointed by another one (--self)";
  if (program) return `needs ${outside}: it is a program of the system`;
  if (judge) return `needs ${outside}: gdb is to dump it, too`;
  // Pages in swap come back with the call, and only after it somebody can look.
  if (setup.some((step) => "swap" in step)) {
    return `needs ${outside}: it looks at swapped pages before the call`;
  }
  // They are loaded for a stop, and the call changes them.
  if (steps.some(({ op }) => op === "registers")) {
    return `needs ${outside}: it chooses the registers of the stop`;
  }
  for (const step of steps) {
    if (step.op !== "stop" || isSelf(step.call?.pid)) continue;
    const word = Object.keys(step).find((key) => !SELF_WORDS.includes(key));
    if (word !== undefined) return `needs ${outside}: its stop says "${word}"`;
  }
  return undefined;
}

/** The same scenario with every checkpoint made by the target itself. */
export function selfScenario(scenario: Scenario): Scenario {
  const steps = scenario.steps?.map((step): Step =>
    step.op === "stop" && step.call === undefined ? { ...step, call: { pid: "self" } } : step
  );
  return steps === undefined ? scenario : { ...scenario, steps };
}
