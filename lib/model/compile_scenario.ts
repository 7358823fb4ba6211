// SPDX-License-Identifier: MIT

import { ProgramBuilder } from "./program_builder.ts";
import { type Scenario, ScenarioError } from "./scenario.ts";
import { type CompileTarget, ModelState } from "./state/model_state.ts";
import { checkAllPages } from "./steps/memory.ts";
import type { CompiledStop, StepContext } from "./steps/define_step.ts";
import { definitionOf, type Step } from "./steps/steps.ts";
import type { ExpectedResult, TargetOp } from "./target_op.ts";

export type { CompiledStop } from "./steps/define_step.ts";

/** A scenario made ready for one target: what it runs, what must come back, and what each image must be. */
export interface CompiledScenario {
  readonly scenario: Scenario;
  readonly target: CompileTarget;
  readonly ops: readonly TargetOp[];
  /** What the calls of the program must give, in order. */
  readonly results: readonly ExpectedResult[];
  readonly stops: readonly CompiledStop[];
}

/**
 * Runs a scenario's steps through the model. One pass makes the target's program, the results that its calls
 * must give, and the prediction of each image, so that none of them can differ from the steps.
 *
 * @throws {ScenarioError} naming the scenario, and the JSON path of the step that cannot be
 */
export function compileScenario(scenario: Scenario, target: CompileTarget): CompiledScenario {
  const state = new ModelState(target, scenario.setup);
  const builder = new ProgramBuilder(target.targetWordSize);
  const stops: CompiledStop[] = [];
  builder.syscall("brk", [0n], {});
  const run = (steps: readonly Step[], parent: string): void => {
    for (const [index, step] of steps.entries()) {
      const where = `${parent}.steps[${index}]`;
      const context: StepContext = {
        ...{ state, builder, stops, index },
        run: (inner) => run(inner as readonly Step[], where),
      };
      try {
        definitionOf(step).apply(step, context);
      } catch (error) {
        if (error instanceof ScenarioError) throw error;
        if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
        throw new ScenarioError(`${scenario.name}: ${where} (${step.op}): ${error.message}`);
      }
    }
  };
  run(scenario.steps ?? [], "$");
  checkAllPages({ state, builder });
  builder.emit({ op: "exit", code: 0 });
  return { scenario, target, ops: builder.ops, results: builder.results, stops };
}
