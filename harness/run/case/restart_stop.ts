// SPDX-License-Identifier: MIT

import type { WordSize } from "../../../lib/abi/arch.ts";
import type { KernelSeries } from "../../../lib/abi/series.ts";
import { VM, vmFlagTable } from "../../../lib/abi/vm_flags.ts";
import { errnoName } from "../../../lib/abi/errno.ts";
import { signalName, SIGNALS } from "../../../lib/abi/signals.ts";
import { restartedImageFindings, stoppedProcess } from "../../../lib/compare/restarted_image.ts";
import { type Finding, mismatch } from "../../../lib/image/finding.ts";
import { readNodes } from "../../../lib/image/image.ts";
import { isRecord } from "../../../lib/image/nodes.ts";
import type { CompiledStop } from "../../../lib/model/compile_scenario.ts";
import {
  hasBreakpoints,
  restartedPrediction,
  type RestartRefusal,
  restartRefusal,
} from "../../../lib/model/restarted_prediction.ts";
import { PROTECTION_KEYS } from "../../../lib/model/state/vm_flag_rules.ts";
import { RESTART_DIED } from "../../../vm/agent/agent_types.ts";
import { lookAtProcess, restartedProcessFindings } from "../../check/restarted_process.ts";
import type { GuestAgent } from "../guest/guest.ts";
import {
  type GuestKernel,
  judgeCheckpoint,
  observeCheckpoint,
  type StopOutcome,
  unjudged,
} from "./observe_checkpoint.ts";
import { awaitConditions } from "./prepare_target.ts";

/** Where the image lies in the guest; gone with the scenario's other files. */
export const IMAGE_FILE = "/run/ckptest/restarted";
const UNPRIVILEGED = "/sys/module/kernel/parameters/restart_unprivileged";

/** How a stopped target is restarted. */
export interface RestartStopOptions {
  readonly pid: number;
  readonly how: "file" | "pipe";
  readonly user: { readonly uid?: number | undefined; readonly gid?: number | undefined };
  readonly series: KernelSeries;
  readonly wordSize: WordSize;
  /** Root's plain call at the stop, with all that is judged of it. */
  readonly checkpoint: (stop: CompiledStop, pid: number) => Promise<StopOutcome>;
}

/** A target that goes on in another process; no pid where it was refused. */
interface RestartOutcome {
  readonly stop: StopOutcome;
  readonly pid: number | undefined;
}

/** Why a stopped target cannot go on in another process, or undefined. */
export function whyNotRestarted(
  { self, tracer, prediction }: CompiledStop,
  { pid, spawned, isLast, breaksSwap, wordSize }: {
    pid: number;
    spawned: number;
    isLast: boolean;
    /** Whether pages that are in swap get lost at some step. */
    breaksSwap: boolean;
    wordSize: WordSize;
  },
): string | undefined {
  if (prediction.refusal) return "checkpoint(2) refuses the target";
  if (self) return "a target that saved itself is not where its image says any more";
  if (tracer.busy) return "a busy target has no image";
  if (pid !== spawned) return "the subject is a child of the target, which waits for it";
  if (prediction.hasOtherNames && prediction.areas.some(({ path }) => path !== undefined)) {
    return "its files have other names where it is restarted";
  }
  if (prediction.lockedHole !== undefined) return "what is locked, and was not all there, would be";
  // What the model says of them at later stops is of a target that has them still.
  if (!isLast && hasBreakpoints(prediction, wordSize)) return "its tracer's breakpoints would be gone";
  if (!isLast && breaksSwap) return "none of its pages would be in the swap space that breaks";
  return undefined;
}

/**
 * Ends a stopped target, restarts it from its image in a new process, and judges that as the target was judged; its
 * image must be the one that it was made from, but for a few fields.
 */
export async function restartStop(
  agent: GuestAgent,
  stop: CompiledStop,
  plain: Pick<StopOutcome, "image">,
  { pid: old, how, user, series, wordSize, checkpoint }: RestartStopOptions,
): Promise<RestartOutcome> {
  const label = `${stop.label}, restarted`;
  await agent.writeFile(IMAGE_FILE, plain.image);
  // The call is for the privileged; its code is to be safe for all.
  if (user.uid !== undefined) await agent.writeFile(UNPRIVILEGED, "1");
  const was = await lookAtProcess(agent, old);
  const { pid, result, changed, position } = await agent.restart({
    pid: old,
    image: IMAGE_FILE,
    how,
    ...user,
  })
    // Scenarios that follow in this guest may say who is refused.
    .finally(() => user.uid === undefined ? undefined : agent.writeFile(UNPRIVILEGED, "0"));
  const refusal = restartRefusal(stop.prediction, vmFlagTable(series, wordSize)) ?? keyRefusal(plain.image);
  const outcome = outcomeName(result);
  if (outcome !== (refusal?.name ?? "ok")) {
    return { stop: endOf(label, [refused(outcome, refusal), ...changeFindings(changed)]), pid: undefined };
  }
  if (refusal) return { stop: endOf(label, changeFindings(changed)), pid: undefined };
  const process = [
    ...how === "file" ? positionFindings(position, plain.image.length) : [],
    ...restartedProcessFindings(await lookAtProcess(agent, pid), was, {
      image: plain.image,
      exe: user.uid === undefined ? undefined : "/target",
    }),
  ];
  const conditions = await awaitConditions(agent, { pid, waitsForMerge: stop.waitsForMerge });
  const prediction = restartedPrediction(stop.prediction, wordSize);
  const judged = await checkpoint({ ...stop, label, prediction }, pid);
  const findings = restartedImageFindings(judged.image, plain.image, stoppedProcess(pid));
  return { stop: { ...judged, findings: [...process, ...conditions, ...judged.findings, ...findings] }, pid };
}

/** Where there are protection keys, the kernel gives one to memory that may only be executed (execute_only_pkey()). */
function keyRefusal(image: Uint8Array): RestartRefusal | undefined {
  const isKeyed = readNodes(image).nodes.some((node) => {
    if (!isRecord(node, "VMA")) return false;
    const { vm_flags: flags } = node.fields;
    return (flags & (VM.READ | VM.WRITE | VM.EXEC)) === VM.EXEC && (flags & PROTECTION_KEYS) !== 0n;
  });
  return isKeyed
    ? { name: "EOPNOTSUPP", why: "the key of what may only be executed is not in the image" }
    : undefined;
}

/** Ends a stopped program, restarts it from its image in a new process, and judges that by observation. */
export async function restartProgram(
  agent: GuestAgent,
  plain: StopOutcome,
  { kernel, pid: old }: { readonly kernel: GuestKernel; readonly pid: number },
): Promise<StopOutcome> {
  const label = `${plain.label}, restarted`;
  await agent.writeFile(IMAGE_FILE, plain.image);
  const was = await lookAtProcess(agent, old);
  await agent.signal(old, SIGNALS.SIGKILL);
  const { pid, result } = await agent.restart({ image: IMAGE_FILE, how: "pipe" });
  if (result !== 0n) return endOf(label, [refused(outcomeName(result), undefined)]);
  const process = restartedProcessFindings(await lookAtProcess(agent, pid), was, plain);
  const judged = await judgeCheckpoint(label, await observeCheckpoint(agent, { kernel, pid }), { kernel });
  const findings = restartedImageFindings(judged.image, plain.image, stoppedProcess(pid));
  return { ...judged, findings: [...process, ...judged.findings, ...findings] };
}

/** How a call of restart(2) has ended: "ok", an errno, or the signal that the caller died of. */
export function outcomeName(result: bigint): string {
  if (result >= RESTART_DIED) return signalName(Number(result) - RESTART_DIED);
  return result === 0n ? "ok" : errnoName(Number(-result));
}

/** What a caller that was refused must not show: that it is not as it was. */
export function changeFindings(changed: number): Finding[] {
  if (changed === 0) return [];
  const message = "a caller that is refused must be as it was";
  return [restartFinding("E_CALLER_CHANGED", { message, expected: "0", actual: String(changed) })];
}

/** What is wrong with the position of a file behind the call: only what was read of an image that was taken counts. */
export function positionFindings(actual: bigint, expected: number): Finding[] {
  if (actual === BigInt(expected)) return [];
  const message = "the file of the image has another position behind the call";
  return [restartFinding("E_POSITION", { message, expected: String(expected), actual: String(actual) })];
}

/** What is left of a target that was not restarted. */
export function endOf(label: string, findings: readonly Finding[]): StopOutcome {
  return unjudged(label, new Uint8Array(0), findings);
}

function refused(actual: string, refusal: RestartRefusal | undefined): Finding {
  const message = refusal
    ? `restart(2) must refuse the image: ${refusal.why}`
    : "restart(2) must take the image of a target that checkpoint(2) took";
  return restartFinding("E_RESTART", { message, expected: refusal?.name ?? "ok", actual });
}

/** A finding about a call of restart(2). */
export function restartFinding(
  id: string,
  values: { readonly message: string; readonly expected: string; readonly actual: string },
): Finding {
  return mismatch(id, { path: "restart(2)", ...values });
}
