// SPDX-License-Identifier: MIT
import * as v from "valibot";
import { NAME, PAGE_SET, type WaitCondition } from "../fields.ts";
import type { CallPlan } from "../predict_call.ts";
import type { RestartPlan } from "../predict_restart.ts";
import type { StopPrediction } from "../predict_stop.ts";
import type { ProgramBuilder } from "../program_builder.ts";
import type { ModelState } from "../state/model_state.ts";
import type { TracerWork } from "../tracer.ts";
import type { TargetArch } from "../../abi/arch.ts";
import { described, object } from "../../schema.ts";
import type { AreaRun, PageSet } from "../state/page_set.ts";

/** A kind of step: everything that there is to know of it. */
export interface StepDefinition<Step extends { readonly op: string }> {
  readonly op: string;
  /** What a scenario may say of it. */
  readonly schema: v.GenericSchema<Step>;
  /**
   * Adds ops, and what they must result in, to the program, and changes the model as they change the target.
   *
   * @throws {SyntaxError} or RangeError when the model cannot tell what the step does
   */
  readonly apply: (step: Step, context: StepContext) => void;
  /** What it needs that is younger than Linux 2.6.27. */
  readonly since: (step: Step, target: TargetArch) => readonly Since[];
}

/** A release of Linux, and what it brought. */
export interface Since {
  readonly release: string;
  readonly what: string;
}

type StepWith<Op extends string, Fields extends v.ObjectEntries> =
  & { readonly op: Op }
  & v.InferOutput<v.StrictObjectSchema<Fields, undefined>>;

/** Defines a kind of step; `steps.ts` lists all of them. */
export function defineStep<const Op extends string, const Fields extends v.ObjectEntries>(
  { op, about, fields = {} as Fields, apply, since = () => [] }: {
    readonly op: Op;
    /** What it does, for whoever writes scenarios. */
    readonly about: string;
    readonly fields?: Fields;
    readonly apply: (step: StepWith<Op, Fields>, context: StepContext) => void;
    readonly since?: (step: StepWith<Op, Fields>, target: TargetArch) => readonly Since[];
  },
): StepDefinition<StepWith<Op, Fields>> {
  const schema = described(about, object({ op: v.literal(op, op), ...fields }));
  return { op, schema: schema as unknown as v.GenericSchema<StepWith<Op, Fields>>, apply, since };
}

/** The fields of a step that is about some pages of an area. */
export const AREA_PAGES = { area: NAME, pages: PAGE_SET };

type PagesFields<Fields> = typeof AREA_PAGES & Fields;

/** Defines a step that is about some pages of an area, and is carried out for each run of them. */
export function definePagesStep<const Op extends string, const Fields extends v.ObjectEntries>(
  { fields, apply, ...more }: {
    readonly op: Op;
    readonly about: string;
    readonly fields?: Fields;
    readonly apply: (run: AreaRun, step: StepWith<Op, PagesFields<Fields>>, context: StepContext) => void;
    readonly since?: (step: StepWith<Op, PagesFields<Fields>>, target: TargetArch) => readonly Since[];
  },
): StepDefinition<StepWith<Op, PagesFields<Fields>>> {
  return defineStep<Op, PagesFields<Fields>>({
    ...more,
    fields: { ...AREA_PAGES, ...fields } as PagesFields<Fields>,
    apply(step, context) {
      const { area, pages } = step as { readonly area: string; readonly pages: PageSet };
      for (const run of context.state.runs(area, pages)) apply(run, step, context);
    },
  });
}

/** What words of a step need, of those that a table has. */
export function sinceWords(table: Readonly<Record<string, string>>, words: readonly string[] = []): Since[] {
  return words.filter((word) => Object.hasOwn(table, word)).map((word) => ({
    release: table[word]!,
    what: word,
  }));
}

/** One point at which the target is checkpointed. */
export interface CompiledStop {
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
  readonly prediction: StopPrediction;
  /** The call that the stop describes, made after the plain one. */
  readonly call?: CallPlan;
  /** How the target is restarted after that. */
  readonly restart?: RestartPlan;
}

/** What a step works on: the model that it changes, and the program and the stops that it adds to. */
export interface StepContext {
  readonly state: ModelState;
  readonly builder: ProgramBuilder;
  readonly stops: CompiledStop[];
  /** Index of the step in its scenario, from 0; steps within a step have their own. */
  readonly index: number;
  readonly run: (steps: readonly { readonly op: string }[]) => void;
}

/** Slots of the target in which steps keep results: a file, the target's pid, others from `free` up. */
export const SLOTS = { file: 1, pid: 2, free: 8 } as const;

/** The seed of a step that names none: differs from step to step and is never zero. */
export function defaultSeed(index: number): number {
  return Math.imul(index + 1, 0x9e3779b1) >>> 0;
}
