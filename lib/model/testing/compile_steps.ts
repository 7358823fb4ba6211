// SPDX-License-Identifier: MIT

import { type CompiledScenario, compileScenario } from "../compile_scenario.ts";
import type { StopPrediction } from "../predict_stop.ts";
import { parseScenario, type SetupStep, type Step } from "../scenario.ts";
import type { CompileTarget } from "../state/model_state.ts";

/** A 64-bit target for tests. */
export const X86_64: CompileTarget = {
  kernelWordSize: 8,
  targetWordSize: 8,
  heapStart: 0x500000n,
  stackTop: 0x7ffffffff000n,
  checkpointNr: 390,
};

/** A 32-bit target for tests. */
export const I386: CompileTarget = { ...X86_64, kernelWordSize: 4, targetWordSize: 4, stackTop: 0xc0000000n };

/** How tests compile steps. */
interface TestOptions {
  readonly target?: CompileTarget;
  readonly setup?: readonly SetupStep[];
}

/** Compiles steps; a stop is added where they have none. */
export function compileSteps(
  steps: readonly Step[],
  { target = X86_64, setup }: TestOptions = {},
): CompiledScenario {
  const stops = steps.some(({ op }) => op === "stop");
  const all = stops ? steps : [...steps, { op: "stop", label: "stopped" }];
  const scenario = { about: "a scenario of a test", ...(setup ? { setup } : {}), steps: all };
  return compileScenario(parseScenario(scenario, "test"), target);
}

/** The prediction at the last stop. */
export function predictSteps(steps: readonly Step[], options: TestOptions = {}): StopPrediction {
  return compileSteps(steps, options).stops.at(-1)!.prediction;
}

/** The pages that a prediction has in an area, counted from where it starts. */
export function pagesIn(prediction: StopPrediction, label: string): number[] {
  const areas = prediction.areas.filter((area) => area.label === label);
  if (areas.length === 0) return [];
  const start = areas[0]!.start;
  return [...prediction.pages.keys()].sort((a, b) => a - b)
    .filter((page) => areas.some((area) => page >= area.start && page < area.end))
    .map((page) => page - start);
}

/** What the target's results must be, by a part of the words that say what each is. */
export function expectedOf(compiled: CompiledScenario, what: string): (bigint | undefined)[] {
  return compiled.results.filter((result) => result.what.includes(what)).map(({ expected }) => expected);
}
