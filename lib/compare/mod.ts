// SPDX-License-Identifier: MIT

/**
 * Holds images against what they must be: what steps imply, and what other interfaces of the kernel showed of the
 * process. Every byte has to be explained by one of them.
 *
 * @example Say of each field who judges it
 * ```ts
 * import { explainScenario } from "@ckptest/ckptest/compare";
 * import { assert } from "@std/assert";
 *
 * const scenario = { about: "A heap of one page.", steps: [{ op: "stop", label: "here" }] };
 * const lines = explainScenario(scenario, {
 *   ...{ arch: "x86_64", series: "6.1", kernelWordSize: 8, targetWordSize: 8 },
 *   ...{ heapStart: 0x500000n, stackTop: 0x7ffffffff000n, checkpointNr: 390 },
 * });
 * assert(lines.includes("  map_count: observed: lines of /proc/PID/maps"));
 * ```
 *
 * @example Compare two images of a process that stood still
 * ```ts
 * import { buildImage } from "@ckptest/ckptest";
 * import { sameImageFindings } from "@ckptest/ckptest/compare";
 * import { assertEquals } from "@std/assert";
 *
 * const findings = sameImageFindings(buildImage({ registers: { ax: 1n } }), buildImage({ head: { time: 5n } }));
 * assertEquals(findings.map(({ id, offset }) => [id, offset]), [["E_OTHER_IMAGE", 9024]]);
 * ```
 *
 * @module
 */

import { decodeBytes } from "../image/decoder.ts";
import { compileScenario } from "../model/compile_scenario.ts";
import { parseScenario } from "../model/scenario.ts";
import type { CompileTarget } from "../model/state/model_state.ts";
import { compareImage as compareNodes, type Comparison } from "./compare_image.ts";
import type { CompareOptions } from "./comparison_context.ts";
import { type ExplainOptions, explainPrediction } from "./explain_prediction.ts";

export { KERNEL_ARCHES, type KernelArch } from "../abi/arch.ts";
export type { Dialect } from "../abi/series.ts";
export { KERNEL_SERIES, type KernelSeries } from "../abi/series.ts";
export type { Finding, Verdict } from "../image/finding.ts";
export { type CpuRegister, USER_REGS } from "../x86/registers.ts";
export type { PredictedArea, PredictedPage, StopPrediction } from "../model/predict_stop.ts";
export type { PredictedError } from "../model/predict_stop.ts";
export type { Refusal } from "../model/refusal.ts";
export type { CompileTarget, ProgramFacts } from "../model/state/model_state.ts";
export type { PageBase, PageContent } from "../model/state/page_content.ts";
export type { RegisterPrediction, XstatePart } from "../model/state/register_block.ts";
export type { SignalAction, SignalPrediction, SignalStack } from "../model/state/signal_state.ts";
export type { CopiedPage } from "../model/tracer.ts";
export { type ByteCounts, type Source, SOURCES } from "./byte_coverage.ts";
export type { SelfCall } from "./comparison_context.ts";
export type { KnownError } from "./finding_collector.ts";
export type { CompareOptions, Comparison, ExplainOptions };
export type { KernelObservation, SignalObservation, TargetObservation } from "./observation.ts";
export type { PagemapEntry } from "./pagemap.ts";
export type { MapsEntry, SmapsEntry } from "./proc_maps.ts";
export type { ProcStat } from "./proc_stat.ts";
export { restartedImageFindings, type RestartedProcess, stoppedProcess } from "./restarted_image.ts";
export { sameImageFindings } from "./truncated_image.ts";

/** Holds an image against what the steps imply and what other kernel interfaces showed of the stopped target. */
export function compareImage(image: Uint8Array, options: CompareOptions): Comparison {
  return compareNodes(decodeBytes(image), image.length, options);
}

/**
 * What the images of a scenario must hold, field by field, and who says so: the steps, the format or an interface.
 *
 * @param scenario parsed JSON, as fixtures/scenario.schema.json describes it
 * @throws {ScenarioError} naming the JSON path of what is wrong
 */
export function explainScenario(scenario: unknown, options: CompileTarget & ExplainOptions): string[] {
  const { stops } = compileScenario(parseScenario(scenario, "scenario"), options);
  return stops.flatMap((stop) => explainPrediction(stop, options));
}
