// SPDX-License-Identifier: MIT

/**
 * The reference model of Linux checkpoint images: decode, check, show, predict and compare them, and the x86
 * LDT and TLS as state machines. Pure: no I/O, no permissions; it runs in a browser as it does in Deno.
 *
 * @example Check an image
 * ```ts
 * import { checkImage } from "@ckptest/ckptest";
 * import { assertEquals } from "@std/assert";
 *
 * const findings = checkImage(new Uint8Array(16));
 * assertEquals(findings.at(-1)?.verdict, "malformed");
 * ```
 *
 * @example Ask the LDT model
 * ```ts
 * import { LdtModel } from "@ckptest/ckptest";
 * import { assertEquals } from "@std/assert";
 *
 * const ldt = new LdtModel({ dialect: "port", wordSize: 8 });
 * assertEquals(ldt.modifyLdt(0, new Uint8Array(64), 64n).result, 0n);
 * assertEquals(ldt.nrEntries, 0);
 * ```
 *
 * @example Predict an image from steps
 * ```ts
 * import { compileScenario, parseScenario } from "@ckptest/ckptest";
 * import { assertEquals } from "@std/assert";
 *
 * const scenario = parseScenario({
 *   about: "Two written pages of anonymous memory.",
 *   steps: [
 *     { op: "mmap", area: "a", pages: 4 },
 *     { op: "write", area: "a", pages: "0,2" },
 *     { op: "stop", label: "here" },
 *   ],
 * }, "example");
 * const target = {
 *   kernelWordSize: 8,
 *   targetWordSize: 8,
 *   heapStart: 0x500000n,
 *   stackTop: 0x7ffffffff000n,
 *   checkpointNr: 390,
 * } as const;
 * assertEquals(compileScenario(scenario, target).stops[0]?.prediction.pages.size, 2);
 * ```
 *
 * @module
 */

export * from "./lib/abi/arch.ts";
export * from "./lib/abi/errno.ts";
export * from "./lib/abi/page_prot.ts";
export * from "./lib/abi/series.ts";
export * from "./lib/abi/signals.ts";
export * from "./lib/abi/vm_flags.ts";
export * from "./lib/compare/byte_coverage.ts";
export * from "./lib/compare/compare_image.ts";
export * from "./lib/compare/explain_prediction.ts";
export * from "./lib/compare/observation.ts";
export * from "./lib/image/decoder.ts";
export * from "./lib/image/build_image.ts";
export * from "./lib/image/image_json.ts";
export * from "./lib/image/image_writer.ts";
export * from "./lib/image/show/show_image.ts";
export { TreePrinter } from "./lib/image/show/show_tree.ts";
export * from "./lib/image/image_writer.ts";
export * from "./lib/image/finding.ts";
export * from "./lib/image/image.ts";
export * from "./lib/image/malformed_image_error.ts";
export * from "./lib/image/nodes.ts";
export * from "./lib/image/records.ts";
export * from "./lib/image/rules.ts";
export * from "./lib/image/struct_desc.ts";
export * from "./lib/model/compile_scenario.ts";
export type {
  ActionKind,
  ActionSpec,
  CallFields,
  CallSpec,
  OutputKind,
  OutputSpec,
} from "./lib/model/call.ts";
export type { PlannedAction, TargetFate } from "./lib/model/blocked_actions.ts";
export type { CallPid } from "./lib/model/call_pid.ts";
export type { CallOutcome, CallPlan } from "./lib/model/predict_call.ts";
export {
  type PredictedArea,
  predictedBytes,
  type PredictedPage,
  type StopPrediction,
} from "./lib/model/predict_stop.ts";
export type { Refusal } from "./lib/model/refusal.ts";
export type { PredictedError } from "./lib/model/posted_errors.ts";
export type { ProgramFacts } from "./lib/model/program_facts.ts";
export * from "./lib/model/scenario.ts";
export { LdtModel, type LdtModelOptions, type ModifyLdtResult } from "./lib/x86/ldt_model.ts";
export { TlsModel, type TlsModelOptions, type TlsResult, type UserDescAccess } from "./lib/x86/tls_model.ts";
export * from "./lib/x86/descriptor.ts";
export * from "./lib/x86/user_desc.ts";
export type { CompareOptions, SelfCall } from "./lib/compare/comparison_context.ts";
export type { KnownError } from "./lib/compare/finding_collector.ts";
export type { PagemapEntry } from "./lib/compare/pagemap.ts";
export type { MapsEntry, SmapsEntry } from "./lib/compare/proc_maps.ts";
export type { ProcStat } from "./lib/compare/proc_stat.ts";
export type { Dialect } from "./lib/abi/dialect.ts";
export type { FormatOptions } from "./lib/image/dialect.ts";
export type { CompileTarget } from "./lib/model/state/model_state.ts";
export type { PageBase, PageContent } from "./lib/model/state/page_content.ts";
export type { PageCount, PageSet } from "./lib/model/state/page_set.ts";
export type { RegisterPrediction, XstatePart } from "./lib/model/state/register_block.ts";
export type { Busy, ExpectedResult, OpArgument, TargetOp } from "./lib/model/target_op.ts";
export type {
  CopiedPage,
  DebugSetting,
  StoppedBy,
  TracerPoke,
  TracerSpec,
  TracerWork,
} from "./lib/model/tracer.ts";
export { CPU_REGISTER_FIELDS, type CpuRegister } from "./lib/x86/registers.ts";
