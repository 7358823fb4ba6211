// SPDX-License-Identifier: MIT

import type { SelfCall } from "../../../lib/compare/comparison_context.ts";
import type { CompiledStop } from "../../../lib/model/compile_scenario.ts";
import type { CallPlan } from "../../../lib/model/predict_call.ts";
import type { StopPrediction } from "../../../lib/model/predict_stop.ts";
import type { CompileTarget } from "../../../lib/model/state/model_state.ts";
import type { ResultRole } from "../../../lib/model/target_op.ts";
import type { TargetEvent } from "../../../vm/agent/agent_types.ts";
import { SCRATCH_BYTES } from "../../../vm/agent/target_program.ts";
import { checkCall } from "../../check/check_call.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { type GuestKernel, judgeCheckpoint, type SecondCheck, type StopOutcome } from "./case_outcome.ts";
import { makeCall } from "./make_call.ts";
import { observeCheckpoint, type ObservedCheckpoint } from "./observe_checkpoint.ts";

/** What is known where a target has stopped. */
export interface StopOptions {
  readonly kernel: GuestKernel;
  readonly target: CompileTarget;
  readonly pid: number;
  readonly scratch: bigint;
  /** The newest of the target's results with a role. */
  readonly resultOf: (role: ResultRole) => bigint | undefined;
  /** Bytes of images that the target wrote of itself before. */
  readonly ownBytes: number;
  /** Told of each checkpoint with all that was observed around it. */
  readonly onCheckpoint?: ((seen: ObservedCheckpoint, stop: CompiledStop) => void) | undefined;
  readonly secondCheck?: SecondCheck | undefined;
}

/** Root's plain call, or the target's own, with all that other interfaces show around it. */
export async function checkpointStop(
  agent: GuestAgent,
  stop: CompiledStop,
  options: StopOptions,
): Promise<StopOutcome> {
  const { kernel, pid, resultOf, ownBytes, onCheckpoint, secondCheck } = options;
  const { self, prediction } = stop;
  const { refusal, pages: modelled } = prediction;
  const seen = await observeCheckpoint(agent, {
    pid,
    checkpointNr: kernel.checkpointNr,
    zeroFrame: kernel.observed.zeroFrame,
    own: self ? { bytes: ownBytes, result: resultOf("checkpoint") ?? 0n } : undefined,
    dialect: kernel.dialect,
    brk: resultOf("break"),
    // The model knows these pages to the byte: no need to ask the guest for them.
    hashPage: (page) => !modelled.has(page),
  });
  onCheckpoint?.(seen, stop);
  return await judgeCheckpoint(stop.label, seen, {
    ...{ kernel, prediction, expected: refusal, program: options.target.program },
    self: self ? selfCall(stop, options) : undefined,
    // Its own checkpoints name a target as it knows itself.
    pid: self ? Number(resultOf("pid") ?? pid) : undefined,
    secondCheck: self || refusal ? undefined : secondCheck,
  });
}

/** What a target passes when it checkpoints itself. */
function selfCall({ passesZero }: CompiledStop, { target, pid, resultOf, scratch }: StopOptions): SelfCall {
  return {
    nr: target.checkpointNr,
    args: [passesZero ? 0n : resultOf("pid") ?? BigInt(pid), OWN_IMAGE_FD, 0n],
    scratch: { start: scratch, end: scratch + BigInt(SCRATCH_BYTES) },
  };
}

/** Where a target writes images of itself. */
const OWN_IMAGE_FD = 6n;

/**
 * Makes the call that a stop describes, and a plain one after it where the target is still stopped.
 *
 * @param plain what the plain call before it gave; undefined for a busy target, whose registers cannot be asked for
 */
export async function callStop(
  agent: GuestAgent,
  { call: plan, ...stop }: CompiledStop & { readonly call: CallPlan },
  options: StopOptions,
  plain: StopOutcome | undefined,
): Promise<{ stops: StopOutcome[]; event: TargetEvent | undefined }> {
  const { pid, kernel: { checkpointNr, dialect }, resultOf } = options;
  const numberOf = (value: bigint | undefined) => value === undefined ? undefined : Number(value);
  const made = await makeCall(agent, plan, {
    pid,
    checkpointNr,
    thread: numberOf(resultOf("thread")),
    userfaultfd: numberOf(resultOf("userfaultfd")),
  });
  const afterwards = (prediction: StopPrediction): CompiledStop => (
    { ...stop, label: `${stop.label}, afterwards`, prediction }
  );
  const after = plan.after && await checkpointStop(agent, afterwards(plan.after), options);
  const before = plain?.image ?? new Uint8Array(0);
  const call = {
    ...coverageOfCall(plan, made.image, plain),
    label: plain ? `${stop.label}, call` : stop.label,
    image: made.image,
    findings: checkCall(plan, made, { before, after: after?.image, dialect }),
  };
  return { stops: after ? [call, after] : [call], event: made.event };
}

/**
 * The byte coverage of a call's image. A whole one is, byte for byte, that of the plain call; of a truncated one
 * each byte is seen in that.
 */
function coverageOfCall(
  { outcome: { written } }: CallPlan,
  { length }: Uint8Array,
  plain: StopOutcome | undefined,
): Pick<StopOutcome, "counts" | "volatile" | "pages"> {
  if (plain && written === "whole") {
    return { counts: plain.counts, volatile: plain.volatile, pages: plain.pages };
  }
  const counts = { total: length, predicted: 0, observed: length, volatile: 0, unexplained: 0 };
  return { counts, volatile: new Map(), pages: 0 };
}
