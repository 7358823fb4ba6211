// SPDX-License-Identifier: MIT

import { PAGE_SIZE_BIG } from "../../abi/arch.ts";
import type { ModelState } from "../state/model_state.ts";
import type { ProgramBuilder } from "../program_builder.ts";

/** What a step works on: the model that it changes and the program that it adds to. */
export interface StepContext {
  readonly state: ModelState;
  readonly builder: ProgramBuilder;
  /** Index of the step in its scenario, from 0; steps within a step have their own. */
  readonly index: number;
}

/** Slots of the target in which steps keep results: a file, the target's pid, others from `free` up. */
export const SLOTS = { file: 1, pid: 2, free: 8 } as const;

/** The address of a page number. */
export function addressOf(page: number): bigint {
  return BigInt(page) * PAGE_SIZE_BIG;
}

/** The seed of a step that names none: differs from step to step and is never zero. */
export function defaultSeed(index: number): number {
  return Math.imul(index + 1, 0x9e3779b1) >>> 0;
}
