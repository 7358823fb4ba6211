// SPDX-License-Identifier: MIT

import { fileStep, renameStep, truncateStep, unlinkStep } from "./file_steps.ts";
import * as memory from "./memory_steps.ts";
import { type CompileTarget, ModelState } from "./model_state.ts";
import { predictStop, type StopPrediction } from "./predict_stop.ts";
import { forkStep, syscallStep, threadStep } from "./process_steps.ts";
import { ProgramBuilder } from "./program_builder.ts";
import { type Scenario, ScenarioError, type Step } from "./scenario.ts";
import { loadSegmentStep, modifyLdtStep, setThreadAreaStep } from "./segment_steps.ts";
import type { StepContext } from "./step_context.ts";
import { syscallNumber } from "./syscall_numbers.ts";
import type { ExpectedResult, TargetOp } from "./target_op.ts";

/** One point at which the target is checkpointed. */
export interface CompiledStop {
  readonly label: string;
  /** Whether the target checkpoints itself just before it stops (its image is in file descriptor 6). */
  readonly self: boolean;
  /** How many results the target has reported when it stops here. */
  readonly resultsBefore: number;
  readonly prediction: StopPrediction;
}

/** A scenario made ready for one target: what it runs, what must come back, and what each image must be. */
export interface CompiledScenario {
  readonly scenario: Scenario;
  readonly ops: readonly TargetOp[];
  readonly results: readonly ExpectedResult[];
  readonly stops: readonly CompiledStop[];
}

const PID_SLOT = 2;

/**
 * Runs a scenario's steps through the model. One pass makes the target's program, the results that its calls must
 * give, and the prediction of each image, so that none of them can differ from the steps.
 *
 * @throws {ScenarioError} naming the scenario and the step that cannot be
 */
export function compileScenario(scenario: Scenario, target: CompileTarget): CompiledScenario {
  const state = new ModelState(target);
  const builder = new ProgramBuilder(target.targetWordSize);
  const stops: CompiledStop[] = [];
  builder.syscall("brk", [0n], {});
  for (const [index, step] of (scenario.steps ?? []).entries()) {
    const context: StepContext = { state, builder, index };
    try {
      if (step.op === "stop" || step.op === "self") stops.push(stopStep(step, context, stops.length));
      else runStep(step, context);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
      throw new ScenarioError(
        `Scenario "${scenario.name}": step ${index + 1} (${step.op}): ${error.message}`,
      );
    }
  }
  builder.emit({ op: "exit", code: 0 });
  return { scenario, ops: builder.ops, results: builder.results, stops };
}

function stopStep(
  step: Extract<Step, { op: "stop" | "self" }>,
  context: StepContext,
  label: number,
): CompiledStop {
  const { state, builder } = context;
  const self = step.op === "self";
  const prediction = predictStop(state, step);
  if (self) {
    builder.emitWithResult({ op: "getpid", keep: PID_SLOT }, "getpid()");
    const nr = state.target.checkpointNr;
    const failed = prediction.refusal && BigInt(-prediction.refusal.errno);
    builder.emitWithResult(
      { op: "syscall", nr, args: [{ slot: PID_SLOT }, 6n, 0n] },
      "checkpoint(self, 6, 0)",
      failed,
    );
  }
  const resultsBefore = builder.results.length;
  builder.emit({ op: "stop", label, killNr: syscallNumber("kill", builder.wordSize) });
  return { label: step.label, self, resultsBefore, prediction };
}

function runStep(step: Exclude<Step, { op: "stop" | "self" }>, context: StepContext): void {
  switch (step.op) {
    case "mmap":
      return memory.mmapStep(step, context);
    case "munmap":
      return memory.munmapStep(step, context);
    case "mprotect":
      return memory.mprotectStep(step, context);
    case "madvise":
      return memory.madviseStep(step, context);
    case "mlock":
    case "munlock":
      return memory.mlockStep(step, context);
    case "mremap":
      return memory.mremapStep(step, context);
    case "brk":
      return memory.brkStep(step, context);
    case "stack":
      return memory.stackStep(step, context);
    case "write":
      return memory.writeStep(step, context);
    case "read":
      return memory.readStep(step, context);
    case "zero":
      return memory.zeroStep(step, context);
    case "poke":
      return memory.pokeStep(step, context);
    case "file":
      return fileStep(step, context);
    case "truncate":
      return truncateStep(step, context);
    case "unlink":
      return unlinkStep(step, context);
    case "rename":
      return renameStep(step, context);
    case "fork":
      return forkStep(step, context);
    case "thread":
      return threadStep(step, context);
    case "syscall":
      return syscallStep(step, context);
    case "modify_ldt":
      return modifyLdtStep(step, context);
    case "set_thread_area":
      return setThreadAreaStep(step, context);
    case "load_segment":
      return loadSegmentStep(step, context);
    case "registers":
      throw new RangeError("setting registers is not possible yet");
  }
}
