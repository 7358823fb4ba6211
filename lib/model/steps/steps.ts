// SPDX-License-Identifier: MIT

import * as v from "valibot";
import type { TargetArch } from "../../abi/arch.ts";
import { isOlder } from "../../abi/series.ts";
import { list, variant } from "../../schema.ts";
import { ADVICE_STEPS } from "./advice.ts";
import { MEMORY_STEPS } from "./memory.ts";
import { defineStep, type Since, type StepDefinition } from "./define_step.ts";
import { FILE_STEPS } from "./file.ts";
import { forkedSpace, PROCESS_STEPS } from "./process.ts";
import { REGISTER_STEPS } from "./register.ts";
import { REMAP_STEPS } from "./remap.ts";
import { SEGMENT_STEPS } from "./segment.ts";
import { SIGNAL_STEPS } from "./signals.ts";
import { STOP_STEPS } from "./stop.ts";
import { UFFD_STEPS } from "./uffd.ts";

const IN_CHILD: StepDefinition<{ readonly op: "in_child"; readonly steps: InnerSteps }> = defineStep({
  op: "in_child",
  about: "A child that runs steps of its own and ends; the parent waits for it and goes on as the subject.",
  fields: { steps: v.lazy((): v.GenericSchema<InnerSteps> => INNER_STEPS) },
  apply(step, context) {
    const { state, builder, index } = context;
    // Joins are numbered so that one within another differs from it.
    const id = builder.ops.length * 1000 + index;
    builder.emitWithResult({ op: "fork", mode: "run", id }, "fork()");
    state.inCopy(() => {
      state.space.sharePages(true);
      forkedSpace(context);
      context.run(step.steps);
    });
    builder.emit({ op: "join", id });
  },
  since: ({ steps }, target) => steps.flatMap((step) => definitionOf(step).since(step, target)),
});

/** What a child may do that ends thereafter. */
const CHILD_STEPS = [
  ...MEMORY_STEPS,
  ...ADVICE_STEPS,
  ...REMAP_STEPS,
  ...FILE_STEPS,
  ...UFFD_STEPS,
  ...SEGMENT_STEPS,
  ...REGISTER_STEPS,
  ...PROCESS_STEPS,
  ...SIGNAL_STEPS,
  IN_CHILD,
] as const;

/** Every kind of step. */
export const STEPS = [...CHILD_STEPS, ...STOP_STEPS] as const;

/** What a step does to the target; one object a system call or a group of stores. */
export type Step = v.InferOutput<(typeof STEPS)[number]["schema"]>;

/** The step of one kind. */
export type StepOf<Op extends Step["op"]> = Extract<Step, { op: Op }>;

/** The steps of a child, which is not checkpointed. */
interface InnerSteps extends ReadonlyArray<v.InferOutput<(typeof CHILD_STEPS)[number]["schema"]>> {}

const INNER_STEPS: v.GenericSchema<InnerSteps> = list(
  variant<InnerSteps[number]>("op", CHILD_STEPS.map(({ schema }) => schema)),
  1,
);

/** The steps of a scenario. */
export const STEP_LIST: v.GenericSchema<readonly Step[]> = list(
  variant<Step>("op", STEPS.map(({ schema }) => schema)),
  1,
);

const BY_OP = new Map<string, unknown>(STEPS.map((step) => [step.op, step]));

/** How a step is carried out. */
export function definitionOf(step: Step): StepDefinition<Step> {
  return BY_OP.get(step.op) as StepDefinition<Step>;
}

/**
 * The oldest release of Linux that can carry steps out, and the youngest thing that they need of it; undefined where
 * 2.6.27 will do.
 */
export function oldestRelease(steps: readonly Step[], target: TargetArch): Since | undefined {
  const needs = steps.flatMap((step) =>
    definitionOf(step).since(step, target).map(({ release, what }) => ({
      release,
      what: `${step.op} ${what}`,
    }))
  );
  return needs.reduce<Since | undefined>(
    (oldest, need) => oldest && !isOlder(oldest.release, need.release) ? oldest : need,
    undefined,
  );
}
