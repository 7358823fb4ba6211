// SPDX-License-Identifier: MIT

import type { WaitCondition } from "../fields.ts";
import type { CallPlan } from "../predict_call.ts";
import type { StopPrediction } from "../predict_stop.ts";
import type { ProgramBuilder } from "../program_builder.ts";
import type { ModelState } from "../state/model_state.ts";
import type { TracerWork } from "../tracer.ts";

/** One point at which the target is checkpointed. */
export interface CompiledStop {
  /** The name that the scenario gave it. */
  readonly label: string;
  /** Whether the target checkpoints itself just before it stops (its image is in file descriptor 6). */
  readonly self: boolean;
  /** Set when it passes 0 for its pid then. */
  readonly passesZero?: true;
  /** How many results the target has reported when it stops here. */
  readonly resultsBefore: number;
  /** What the harness waits for before it looks at the target. */
  readonly waitFor: readonly WaitCondition[];
  /** Whether it waits until ksmd has scanned everything. */
  readonly waitsForMerge: boolean;
  /** What a tracer does to the target at this stop, and what stops it. */
  readonly tracer: TracerWork;
  /** What the image must be. */
  readonly prediction: StopPrediction;
  /** The call that the stop describes, made after the plain one. */
  readonly call?: CallPlan;
}

/** What a step works on: the model that it changes, and the program and the stops that it adds to. */
export interface StepContext {
  readonly state: ModelState;
  readonly builder: ProgramBuilder;
  readonly stops: CompiledStop[];
  /** Index of the step in its scenario, from 0; steps within a step have their own. */
  readonly index: number;
  /** Runs the steps of a step. */
  readonly run: (steps: readonly { readonly op: string }[]) => void;
}

/** Slots of the target in which steps keep results: a file, the target's pid, others from `free` up. */
export const SLOTS = { file: 1, pid: 2, free: 8 } as const;

/** The seed of a step that names none: differs from step to step and is never zero. */
export function defaultSeed(index: number): number {
  return Math.imul(index + 1, 0x9e3779b1) >>> 0;
}
