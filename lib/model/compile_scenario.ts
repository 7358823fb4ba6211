// SPDX-License-Identifier: MIT

import { breakSwapStep, madviseStep, mlockAllStep, mlockStep, munlockAllStep } from "./steps/advice.ts";
import { hasCallFields } from "./call.ts";
import { checkAllPages, checkStep } from "./steps/check_step.ts";
import { becomeStep, dumpableStep } from "./steps/credential.ts";
import * as files from "./steps/file.ts";
import * as memory from "./steps/memory.ts";
import { type CompileTarget, ModelState } from "./state/model_state.ts";
import { type CallPlan, predictCall } from "./predict_call.ts";
import { predictStop, type StopPrediction, stopPrediction } from "./predict_stop.ts";
import {
  execStep,
  forkStep,
  inChildStep,
  shmStep,
  syscallStep,
  threadStep,
  unshareStep,
} from "./steps/process.ts";
import { ProgramBuilder } from "./program_builder.ts";
import { emitRegisters, registersStep } from "./steps/register.ts";
import * as remap from "./steps/remap.ts";
import { type Scenario, ScenarioError } from "./scenario.ts";
import { getThreadAreaStep, modifyLdtStep, readLdtStep, setThreadAreaStep } from "./steps/segment.ts";
import { loadSegmentStep, selectorStep } from "./steps/selector.ts";
import { SLOTS, type StepContext } from "./steps/step_context.ts";
import type { Step, StepOf, UntilCheck } from "./steps/steps.ts";
import { syscallNumber } from "./syscall_numbers.ts";
import type { ExpectedResult, TargetOp } from "./target_op.ts";
import { applyTracer, busyOf, hasTracerWords, type TracerWork } from "./tracer.ts";
import { uffdPlaceStep, uffdProtectStep, uffdStep } from "./steps/uffd.ts";

/** One point at which the target is checkpointed. */
export interface CompiledStop {
  /** The name that the scenario gave it. */
  readonly label: string;
  /** Whether the target checkpoints itself just before it stops (its image is in file descriptor 6). */
  readonly self: boolean;
  /** How many results the target has reported when it stops here. */
  readonly resultsBefore: number;
  /** What the harness waits for before it looks at the target. */
  readonly until: readonly UntilCheck[];
  /** Whether it waits until ksmd has scanned everything. */
  readonly waitsForMerge: boolean;
  /** What a tracer and other holders do to the target at this stop. */
  readonly tracer: TracerWork;
  /** What the image must be. */
  readonly prediction: StopPrediction;
  /** The call that the stop describes, made after the plain one. */
  readonly call?: CallPlan;
}

/** A scenario made ready for one target: what it runs, what must come back, and what each image must be. */
export interface CompiledScenario {
  /** What it was made from. */
  readonly scenario: Scenario;
  /** What it was made for. */
  readonly target: CompileTarget;
  /** The target's program. */
  readonly ops: readonly TargetOp[];
  /** What the calls of the program must give, in order. */
  readonly results: readonly ExpectedResult[];
  /** The checkpoints, in order. */
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
      const context: StepContext = { state, builder, index };
      const where = `${parent}.steps[${index}]`;
      try {
        if (step.op !== "stop" && step.op !== "self") runStep(step, context, (more) => run(more, where));
        else stops.push(stopStep(step, context, stops.length));
      } catch (error) {
        if (error instanceof ScenarioError) throw error;
        if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
        throw new ScenarioError(`${scenario.name}: ${where} (${step.op}): ${error.message}`);
      }
    }
  };
  run(scenario.steps ?? [], "$");
  checkAllPages({ state, builder, index: scenario.steps?.length ?? 0 });
  builder.emit({ op: "exit", code: 0 });
  return { scenario, target, ops: builder.ops, results: builder.results, stops };
}

function stopStep(step: StepOf<"stop" | "self">, context: StepContext, label: number): CompiledStop {
  const { state, builder } = context;
  const self = step.op === "self";
  const registers = emitRegisters(context);
  const tracer = applyTracer(state, self ? {} : step);
  const hasCall = step.op === "stop" && hasCallFields(step);
  if (hasCall && hasTracerWords(step)) {
    throw new SyntaxError("a stop says how its call is made, or what tracers and holders do: found both");
  }
  const prediction = hasCall ? stopPrediction(state, step, tracer) : predictStop(state, step, tracer);
  if (self) {
    builder.emitWithResult({ op: "getpid", keep: SLOTS.pid }, "getpid()", undefined, { role: "pid" });
    const nr = state.target.checkpointNr;
    const failed = prediction.refusal && BigInt(-prediction.refusal.errno);
    builder.emitWithResult(
      { op: "syscall", nr, args: [step.zero === 1 ? 0n : { slot: SLOTS.pid }, 6n, 0n] },
      "checkpoint(self, 6, 0)",
      failed,
      { role: "checkpoint" },
    );
  }
  const resultsBefore = builder.results.length;
  const killNr = syscallNumber("kill", builder.wordSize);
  const busy = busyOf(tracer.hold);
  builder.emit({
    op: "stop",
    label,
    killNr,
    ...(registers === undefined ? {} : { registers }),
    ...(busy === undefined ? {} : { busy }),
  });
  state.registers = undefined;
  bringBack(state, prediction);
  const { label: name, until = [], merged } = step;
  const stop = {
    ...{ label: name, self, resultsBefore, until, waitsForMerge: merged !== undefined, tracer, prediction },
  };
  return hasCall ? { ...stop, call: predictCall(state, step, prediction) } : stop;
}

/**
 * Pages that the checkpoint had to fetch from swap stay in memory: all, or those before where it was refused.
 */
function bringBack({ space }: ModelState, { pages, refusal }: StopPrediction): void {
  const end = refusal ? refusal.page ?? refusal.atPage ?? 0 : Number.POSITIVE_INFINITY;
  for (const [page, { swapped }] of pages) if (swapped && page < end) space.readPage(page);
}

type RunSteps = (steps: readonly Step[]) => void;

function runStep(step: Exclude<Step, { op: "stop" | "self" }>, context: StepContext, run: RunSteps): void {
  switch (step.op) {
    case "in_child":
      return inChildStep(step, context, run);
    case "fork":
      return forkStep(step, context);
    case "exec":
      return execStep(step, context);
    case "thread":
      return threadStep(step, context);
    case "unshare":
      return unshareStep(step, context);
    case "become":
      return becomeStep(step, context);
    case "dumpable":
      return dumpableStep(step, context);
    case "syscall":
      return syscallStep(step, context);
    case "registers":
      return registersStep(step, context);
    case "check":
      return checkStep(step, context);
    case "modify_ldt":
      return modifyLdtStep(step, context);
    case "read_ldt":
      return readLdtStep(step, context);
    case "set_thread_area":
      return setThreadAreaStep(step, context);
    case "get_thread_area":
      return getThreadAreaStep(step, context);
    case "load_segment":
      return loadSegmentStep(step, context);
    case "selector":
      return selectorStep(step, context);
    default:
      return runMemoryStep(step, context);
  }
}

type OtherStep =
  | "stop"
  | "self"
  | "in_child"
  | "fork"
  | "exec"
  | "thread"
  | "unshare"
  | "become"
  | "dumpable"
  | "syscall"
  | "registers"
  | "check"
  | "modify_ldt"
  | "read_ldt"
  | "set_thread_area"
  | "get_thread_area"
  | "load_segment"
  | "selector";

function runMemoryStep(step: Exclude<Step, { op: OtherStep }>, context: StepContext): void {
  switch (step.op) {
    case "mmap":
      return memory.mmapStep(step, context);
    case "munmap":
      return memory.munmapStep(step, context);
    case "mprotect":
      return memory.mprotectStep(step, context);
    case "write":
      return memory.writeStep(step, context);
    case "read":
      return memory.readStep(step, context);
    case "zero":
      return memory.zeroStep(step, context);
    case "poke":
      return memory.pokeStep(step, context);
    case "madvise":
      return madviseStep(step, context);
    case "mlock":
    case "munlock":
      return mlockStep(step, context);
    case "mlockall":
      return mlockAllStep(step, context);
    case "munlockall":
      return munlockAllStep(step, context);
    case "break_swap":
      return breakSwapStep(step, context);
    case "mremap":
      return remap.mremapStep(step, context);
    case "brk":
      return remap.brkStep(step, context);
    case "stack":
      return remap.stackStep(step, context);
    case "grow_down":
      return remap.growDownStep(step, context);
    case "munmap_vdso":
      return remap.munmapVdsoStep(step, context);
    case "munmap_vvar":
      return remap.munmapVvarStep(step, context);
    case "uffd":
      return uffdStep(step, context);
    case "uffd_place":
      return uffdPlaceStep(step, context);
    case "uffd_protect":
      return uffdProtectStep(step, context);
    case "shm":
      return shmStep(step, context);
    default:
      return runFileStep(step, context);
  }
}

type FileOp =
  | "file"
  | "write_file"
  | "truncate"
  | "unlink"
  | "rename"
  | "link"
  | "memfd"
  | "chdir"
  | "chroot";

function runFileStep(step: StepOf<FileOp>, context: StepContext): void {
  switch (step.op) {
    case "file":
      return files.fileStep(step, context);
    case "write_file":
      return files.writeFileStep(step, context);
    case "truncate":
      return files.truncateStep(step, context);
    case "unlink":
      return files.unlinkStep(step, context);
    case "rename":
      return files.renameStep(step, context);
    case "link":
      return files.linkStep(step, context);
    case "memfd":
      return files.memfdStep(step, context);
    case "chdir":
      return files.chdirStep(step, context);
    case "chroot":
      return files.chrootStep(step, context);
  }
}
