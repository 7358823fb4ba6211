// SPDX-License-Identifier: MIT

import * as v from "valibot";
import type { TargetArch } from "../../abi/arch.ts";
import { described, object } from "../../schema.ts";
import { NAME, PAGE_SET } from "../fields.ts";
import type { AreaRun, PageSet } from "../state/page_set.ts";
import type { StepContext } from "./step_context.ts";

/** A kind of step: everything that there is to know of it. */
export interface StepDefinition<Step extends { readonly op: string }> {
  /** Its name in scenarios. */
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

/** A step with certain fields. */
type StepWith<Op extends string, Fields extends v.ObjectEntries> =
  & { readonly op: Op }
  & v.InferOutput<v.StrictObjectSchema<Fields, undefined>>;

/** Defines a kind of step; `steps.ts` lists all of them. */
export function defineStep<const Op extends string, const Fields extends v.ObjectEntries>(
  { op, about, fields, apply, since = () => [] }: {
    readonly op: Op;
    /** What it does, for whoever writes scenarios. */
    readonly about: string;
    readonly fields: Fields;
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
