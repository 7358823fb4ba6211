// SPDX-License-Identifier: MIT

import type { Scenario, Step } from "../../lib/model/scenario.ts";

/**
 * Scenarios that together come to every allocation of the call: records alone, pages to be brought in from
 * swap, names of files, an LDT, FPU state, pages in more than one chunk.
 */
const NAMES: readonly string[] = [
  "minimal",
  "page_states",
  "file_private",
  "ldt_one",
  "ldt_full",
  "registers_avx",
  "swap_anon",
  "swap_file_copies",
  "swap_loop",
  "fork_files",
  "tls_all",
];

/** The scenarios of a catalogue that are swept when none are named. */
export function faultScenarios(catalogue: readonly Scenario[]): Scenario[] {
  return catalogue.filter(({ name }) => NAMES.includes(name));
}

/** Why a scenario has nothing to sweep; undefined when it has a stop that is checkpointed whole from outside. */
export function sweepSkipReason({ program, steps = [] }: Scenario): string | undefined {
  const isWhole = (step: Step): boolean =>
    step.op === "stop" && (step.expect ?? "ok") === "ok" && step.call === undefined && step.to === undefined;
  if (program || steps.some(isWhole)) return undefined;
  return "has no plain stop that is checkpointed whole";
}
