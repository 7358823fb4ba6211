// SPDX-License-Identifier: MIT

/**
 * What the image of a program must hold: steps that a program takes, run through a model of Linux's address space, LDT,
 * TLS and registers.
 *
 * @example
 * ```ts
 * import { predictCheckpoints, predictedBytes } from "@ckptest/ckptest/model";
 * import { assertEquals } from "@std/assert";
 *
 * const [checkpoint] = predictCheckpoints({
 *   about: "Two written pages of anonymous memory.",
 *   steps: [
 *     { op: "mmap", area: "a", pages: 4 },
 *     { op: "write", area: "a", pages: "0,2" },
 *     { op: "stop", label: "here" },
 *   ],
 * }, {
 *   kernelWordSize: 8,
 *   targetWordSize: 8,
 *   heapStart: 0x500000n,
 *   stackTop: 0x7ffffffff000n,
 *   checkpointNr: 390,
 * });
 * const pages = [...checkpoint!.prediction.pages.values()];
 * assertEquals(pages.map((page) => predictedBytes(page).length), [4096, 4096]);
 * ```
 *
 * @module
 */

import { compileScenario } from "./compile_scenario.ts";
import type { StopPrediction } from "./predict_stop.ts";
import { parseScenario } from "./scenario.ts";
import type { CompileTarget } from "./state/model_state.ts";

export type { Dialect } from "../abi/series.ts";
export { KERNEL_SERIES, type KernelSeries } from "../abi/series.ts";
export { type CpuRegister, USER_REGS } from "../x86/registers.ts";
export {
  type PredictedArea,
  predictedBytes,
  type PredictedPage,
  type StopPrediction,
} from "./predict_stop.ts";
export type { PredictedError } from "./predict_stop.ts";
export type { Refusal } from "./refusal.ts";
export { ScenarioError } from "./scenario.ts";
export type { CompileTarget, ProgramFacts } from "./state/model_state.ts";
export type { PageBase, PageContent } from "./state/page_content.ts";
export type { RegisterPrediction, XstatePart } from "./state/register_block.ts";
export type { SignalAction, SignalPrediction, SignalStack } from "./state/signal_state.ts";
export type { CopiedPage } from "./tracer.ts";

/** One checkpoint that a scenario makes. */
export interface PredictedCheckpoint {
  /** The name that its step has. */
  readonly label: string;
  /** Whether the target checkpoints itself. */
  readonly self: boolean;
  /** What its image must hold. */
  readonly prediction: StopPrediction;
}

/**
 * What the image of each checkpoint of a scenario must hold.
 *
 * @param scenario parsed JSON, as fixtures/scenario.schema.json describes it
 * @param target what it would run on
 * @throws {ScenarioError} naming the JSON path of what is wrong
 */
export function predictCheckpoints(scenario: unknown, target: CompileTarget): PredictedCheckpoint[] {
  const { stops } = compileScenario(parseScenario(scenario, "scenario"), target);
  return stops.map(({ label, self, prediction }) => ({ label, self, prediction }));
}
