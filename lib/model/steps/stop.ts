// SPDX-License-Identifier: MIT

import { described, list, oneOf, optional } from "../../schema.ts";
import { CALL_FIELDS, type CallFields, isSelf } from "../call.ts";
import { NAME, OUTCOME, WAIT_CONDITION } from "../fields.ts";
import { predictCall, selfProblem } from "../predict_call.ts";
import { checkExpectation, type StopPrediction, stopPrediction } from "../predict_stop.ts";
import { planRestart, type RestartPlan } from "../predict_restart.ts";
import { refuse } from "../refusal.ts";
import { RESTART_FIELDS, type RestartSpec } from "../restart.ts";
import type { ModelState } from "../state/model_state.ts";
import { syscallNumber } from "../syscall_numbers.ts";
import { applyTracer, TRACER_FIELDS } from "../tracer.ts";
import { type CompiledStop, defineStep, SLOTS, type StepContext } from "./define_step.ts";

/** The target's descriptor of its own image file, and one that is never open. */
const [IMAGE_FD, CLOSED_FD] = [6n, 99n];

/** Where register blocks lie in the target's scratch memory. */
const BLOCK_OFFSET = 0x10000;

/** The target makes the call for itself, and writes to its own image file. */
function emitOwnCall(
  { call = {}, to }: CallFields,
  { state, builder }: StepContext,
  { refusal }: StopPrediction,
): void {
  builder.emitWithResult({ op: "getpid", keep: SLOTS.pid }, "getpid()", undefined, { role: "pid" });
  const pid = call.pid === 0 ? 0n : { slot: SLOTS.pid };
  const fd = to === undefined ? IMAGE_FD : CLOSED_FD;
  const flags = BigInt(call.flags ?? 0);
  builder.emitWithResult(
    { op: "syscall", nr: state.target.checkpointNr, args: [pid, fd, flags] },
    `checkpoint(self, ${fd}, ${flags})`,
    refusal && BigInt(-refusal.errno),
    { role: "checkpoint" },
  );
}

/** Pages that the call had to fetch from swap stay in memory: all, or those before where it was refused. */
function bringBack({ space }: ModelState, { pages, refusal }: StopPrediction): void {
  const end = refusal ? refusal.page ?? refusal.atPage ?? 0 : Number.POSITIVE_INFINITY;
  for (const [page, { swapped }] of pages) if (swapped && page < end) space.readPage(page);
}

/** What a stop has loaded and what stays: the FPU's state, and selectors of FS and GS. */
function leaveLoaded(state: ModelState): void {
  const { xstate = [], general } = state.registers ?? {};
  if (xstate.length > 0) state.fpu = xstate;
  for (const name of ["fs", "gs"] as const) {
    const selector = general?.get(name);
    if (selector !== undefined) state.selectors.set(name, Number(selector));
  }
  state.registers = undefined;
}

/** @throws {SyntaxError} where the target is not there to be restarted */
function applyRestart(spec: RestartSpec, { state }: StepContext, stop: CompiledStop): RestartPlan {
  const { self, call, tracer: { busy }, prediction } = stop;
  if (self || busy || (call && !call.after)) {
    throw new SyntaxError(
      `"restart" is for a target that another process has checkpointed, and that is stopped`,
    );
  }
  const { set, copied } = stop.tracer;
  if (spec.stays === "running" && set.length + copied.length > 0) {
    throw new SyntaxError(`a process that runs on keeps what tracers "set" and "poke": nobody takes it out`);
  }
  return planRestart(state, spec, call?.after ?? prediction);
}

/** Where the target is checkpointed. */
export const STOP_STEPS = [
  defineStep({
    op: "stop",
    about: "The target stops, and another task checkpoints it; or it checkpoints itself, and stops after it.",
    fields: {
      label: described("Name of the stop.", NAME),
      expect: optional(OUTCOME, `"ok", or how the call must fail.`),
      waitFor: optional(list(WAIT_CONDITION, 1), "What must be so before the target is looked at."),
      merged: optional(oneOf(["pages", "zeros too"]), "Waits for the scans of ksmd."),
      ...TRACER_FIELDS,
      ...CALL_FIELDS,
      ...RESTART_FIELDS,
    },
    apply(step, context) {
      const { state, builder, stops } = context;
      const { label, expect, waitFor = [], merged, call, busy } = step;
      if (state.hasNoLeader) {
        throw new SyntaxError("the thread that led the target has ended at an earlier stop");
      }
      const self = isSelf(call?.pid);
      const isCalled = !self && [call, step.to, step.whileBlocked, busy].some((field) => field !== undefined);
      if (state.registers) builder.scratch(BLOCK_OFFSET, state.registers.block);
      const registers = state.registers && BLOCK_OFFSET;
      const own = self ? selfProblem(step) : undefined;
      const tracer = applyTracer(state, step);
      const plain = stopPrediction(state, { ...step, self }, tracer);
      const prediction = own ? { ...plain, refusal: refuse(own[0], undefined, own[1]) } : plain;
      // A scenario states what the port does.
      if (!isCalled && state.target.dialect !== "v11") checkExpectation(expect, prediction.refusal);
      if (self) emitOwnCall(step, context, prediction);
      const resultsBefore = builder.results.length;
      builder.emit({
        op: "stop",
        label: stops.length,
        killNr: syscallNumber("kill", state.registers?.general.has("cs") ? 4 : builder.wordSize),
        ...(registers === undefined ? {} : { registers }),
        ...(busy === undefined ? {} : { busy }),
        ...(tracer.stoppedBy === "signal in a call" ? { busy: "sleeping" } : {}),
      });
      if (busy === "exited leader") state.hasNoLeader = true;
      leaveLoaded(state);
      if (!busy) bringBack(state, prediction);
      const stop: CompiledStop = {
        ...self && call?.pid === 0 ? { passesZero: true } : {},
        ...{ label, self, resultsBefore, waitFor, waitsForMerge: merged !== undefined, tracer, prediction },
      };
      const called = isCalled ? predictCall(state, step, { plain: prediction, work: tracer }) : undefined;
      const whole: CompiledStop = { ...stop, ...called && { call: called } };
      stops.push({
        ...whole,
        ...step.restart && { restart: applyRestart(step.restart, context, whole) },
      });
    },
  }),
] as const;
