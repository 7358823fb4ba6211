// SPDX-License-Identifier: MIT

import { described, list, oneOf, optional } from "../../schema.ts";
import { CALL_FIELDS, hasCallFields } from "../call.ts";
import { NAME, OUTCOME, WAIT_CONDITION, type WaitCondition } from "../fields.ts";
import { predictCall } from "../predict_call.ts";
import { predictStop, type StopPrediction, stopPrediction } from "../predict_stop.ts";
import type { ModelState } from "../state/model_state.ts";
import { syscallNumber } from "../syscall_numbers.ts";
import { applyTracer, busyOf, hasTracerWords, TRACER_FIELDS, type TracerWork } from "../tracer.ts";
import { defineStep } from "./define_step.ts";
import { emitRegisters } from "./register.ts";
import { type CompiledStop, SLOTS, type StepContext } from "./step_context.ts";

/** What a stop says whether another task or the target itself makes the image. */
const STOP = {
  label: described("Name of the stop.", NAME),
  expect: optional(described(`"ok", or how the call must fail.`, OUTCOME)),
  waitFor: optional(described("What must be so before the target is looked at.", list(WAIT_CONDITION, 1))),
  merged: optional(described("Waits for the scans of ksmd.", oneOf(["pages", "zeros too"]))),
};

interface StopSpec {
  readonly label: string;
  readonly waitFor?: readonly WaitCondition[];
  readonly merged?: "pages" | "zeros too";
}

/** The op that stops the target. Pages that the call has to fetch from swap stay in memory. */
function emitStop(
  { label, waitFor = [], merged }: StopSpec,
  { state, builder, stops }: StepContext,
  { self, registers, tracer, prediction }: {
    self: boolean;
    registers: number | undefined;
    tracer: TracerWork;
    prediction: StopPrediction;
  },
): CompiledStop {
  const resultsBefore = builder.results.length;
  const busy = busyOf(tracer.hold);
  builder.emit({
    op: "stop",
    label: stops.length,
    killNr: syscallNumber("kill", builder.wordSize),
    ...(registers === undefined ? {} : { registers }),
    ...(busy === undefined ? {} : { busy }),
  });
  state.registers = undefined;
  bringBack(state, prediction);
  return { label, self, resultsBefore, waitFor, waitsForMerge: merged !== undefined, tracer, prediction };
}

/** All pages that the call had to fetch, or those before where it was refused. */
function bringBack({ space }: ModelState, { pages, refusal }: StopPrediction): void {
  const end = refusal ? refusal.page ?? refusal.atPage ?? 0 : Number.POSITIVE_INFINITY;
  for (const [page, { swapped }] of pages) if (swapped && page < end) space.readPage(page);
}

/** Where the target is checkpointed. */
export const STOP_STEPS = [
  defineStep({
    op: "stop",
    about: "The target stops, and another task checkpoints it.",
    fields: { ...STOP, ...TRACER_FIELDS, ...CALL_FIELDS },
    apply(step, context) {
      const { state, stops } = context;
      const registers = emitRegisters(context);
      const tracer = applyTracer(state, step);
      const hasCall = hasCallFields(step);
      if (hasCall && hasTracerWords(step)) {
        throw new SyntaxError("a stop says how its call is made, or what tracers and holders do: found both");
      }
      const prediction = hasCall ? stopPrediction(state, step, tracer) : predictStop(state, step, tracer);
      const stop = emitStop(step, context, { self: false, registers, tracer, prediction });
      stops.push(hasCall ? { ...stop, call: predictCall(state, step, prediction) } : stop);
    },
  }),
  defineStep({
    op: "self",
    about: "The target checkpoints itself, and stops after it.",
    fields: { ...STOP, zero: optional(described("By the pid 0 in place of its own.", oneOf([1]))) },
    apply(step, context) {
      const { state, builder, stops } = context;
      const registers = emitRegisters(context);
      const tracer = applyTracer(state, {});
      const prediction = predictStop(state, step, tracer);
      builder.emitWithResult({ op: "getpid", keep: SLOTS.pid }, "getpid()", undefined, { role: "pid" });
      const nr = state.target.checkpointNr;
      const failed = prediction.refusal && BigInt(-prediction.refusal.errno);
      builder.emitWithResult(
        { op: "syscall", nr, args: [step.zero === 1 ? 0n : { slot: SLOTS.pid }, 6n, 0n] },
        "checkpoint(self, 6, 0)",
        failed,
        { role: "checkpoint" },
      );
      stops.push(emitStop(step, context, { self: true, registers, tracer, prediction }));
    },
  }),
] as const;
