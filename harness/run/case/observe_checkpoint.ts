// SPDX-License-Identifier: MIT

import type { KernelObservation, RawObservation } from "../../../lib/compare/observation.ts";
import { LAST_SIGNAL, signalBit } from "../../../lib/abi/signals.ts";
import { readNodes } from "../../../lib/image/image.ts";
import { type ImageNode, isRecord } from "../../../lib/image/nodes.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import type { SignalPrediction } from "../../../lib/model/state/signal_state.ts";
import type { CheckpointResult } from "../../../vm/agent/agent_types.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { changesBetween, OBSERVED_FOR_CHANGES } from "../../check/target_changes.ts";
import type { Comparison } from "../../../lib/compare/compare_image.ts";
import type { CompareOptions } from "../../../lib/compare/comparison_context.ts";
import { judgeImage, type Judging } from "../../check/judge_image.ts";
import { lookFromHost, type SeenPages } from "../../check/look_from_host.ts";
import { checkReply, type ExpectedReply } from "../../check/check_reply.ts";

/** A checkpoint and what other interfaces showed around it. */
export interface ObservedCheckpoint {
  readonly reply: CheckpointResult;
  readonly image: Uint8Array;
  /** What was observed, as it was answered. */
  readonly raw: RawObservation;
  /** What the checkpoint changed about its target, and where host and guest see other pages. */
  readonly changes: readonly Finding[];
  readonly seen: SeenPages;
}

interface ObserveOptions {
  readonly kernel: GuestKernel;
  readonly pid: number;
  /**
   * Set when the target makes the call itself: what it returned, and how much the target has written of itself before,
   * as its images lie one behind the other.
   */
  readonly own?: { readonly bytes: number; readonly result: bigint } | undefined;
  readonly brk?: bigint | undefined;
  /** What the steps imply of signals; a target without steps is asked about those of its image. */
  readonly signals?: SignalPrediction | undefined;
  /** Which pages the guest is asked for; all by default. */
  readonly hashPage?: (page: number) => boolean;
}

/**
 * Observes a stopped target, checkpoints it, and observes it again. Reading its memory may fault pages in, so
 * that comes after all that looks at pages.
 */
export async function observeCheckpoint(
  agent: GuestAgent,
  options: ObserveOptions,
): Promise<ObservedCheckpoint> {
  const { kernel, pid, own, hashPage = () => true } = options;
  // The thread's own stat: the process's shows the group's exit code in place of the task's
  // (fs/proc/array.c).
  const stat = `task/${pid}/stat`;
  const isOld = kernel.dialect === "v11";
  // Linux 2.6.28 has no comm, and its stat does not tell where arguments and environment lie.
  const others = isOld ? ["auxv?", "cmdline?", "environ?"] : ["comm?", "auxv"];
  const before = await agent.observe(pid, [...OBSERVED_FOR_CHANGES, stat, ...others]);
  const reply = own
    ? await ownCheckpoint(agent, own)
    : await agent.checkpoint({ nr: kernel.checkpointNr, pid });
  // A target's own call is over before anybody looks.
  const after = own ? before : await agent.observe(pid, OBSERVED_FOR_CHANGES);
  const image = reply.image ?? new Uint8Array(0);
  const { zeroFrame } = kernel.observed;
  const looked = await lookFromHost(agent, { pid, observed: after, zeroFrame, hashPage });
  // Whatever the target does by itself comes last: the kernel writes to the rseq area of one that ran elsewhere.
  // To ask for the FPU's registers marks it as used in an old kernel, which later images would show.
  // What it tells by calls of its own is of now, and not of the time of a call that it made itself.
  // A large image takes long to decode, and nothing else goes on meanwhile.
  const nodes = isOld || !options.signals ? readNodes(image).nodes : [];
  const registers = await agent.registers(pid, {
    ...{ fpu: !isOld || nodes.some(({ kind }) => kind === "xstate"), calls: own === undefined },
    signals: isOld ? undefined : signalsToAsk(nodes, options.signals),
  });
  const raw: RawObservation = {
    pid,
    proc: new Map([...before, ["stat", before.get(stat) ?? new Uint8Array(0)]]),
    registers,
    hashedAddresses: BigUint64Array.from(looked.hashes.keys()),
    hashes: BigUint64Array.from(looked.hashes.values()),
    brk: options.brk,
    t0: reply.secondsBefore,
    t1: reply.secondsAfter,
  };
  const changes = [...own ? [] : changesBetween(before, after), ...looked.findings];
  return { reply, image, raw, changes, seen: looked.seen };
}

/** The image that the target wrote of itself; when it did so is not known closely. */
async function ownCheckpoint(
  agent: GuestAgent,
  { bytes, result }: NonNullable<ObserveOptions["own"]>,
): Promise<CheckpointResult> {
  const image = (await agent.targetImage()).subarray(bytes);
  const { realtime } = await agent.time();
  const HOUR = 3600n;
  const previousId = agent.lastId;
  if (result > 0n) agent.lastId = Number(result);
  return {
    ...{ caller: 0, result, errno: result < 0n ? Number(-result) : 0, previousId },
    ...{ length: image.length, image },
    ...{ secondsBefore: realtime - HOUR, secondsAfter: realtime, nanoseconds: 0n },
  };
}

/** The signals whose actions a target is asked for, beside its stack for them; undefined: it has nothing to tell. */
function signalsToAsk(nodes: readonly ImageNode[], steps?: SignalPrediction): bigint | undefined {
  if (steps?.actions.size === 0 && steps.stack.size === 0n) return undefined;
  const ofImage = nodes.flatMap((node) => isRecord(node, "SIGACTION") ? [node.fields.signr] : []);
  const numbers = steps ? [...steps.actions.keys()] : ofImage.filter((number) => number <= LAST_SIGNAL);
  return numbers.reduce((mask, number) => mask | signalBit(number), 0n);
}

/** What a guest was built as, for the comparison. */
export interface GuestKernel extends Pick<CompareOptions, "arch" | "series" | "dialect" | "revision"> {
  /** Number of the system call for the agent. */
  readonly checkpointNr: number;
  readonly observed: KernelObservation;
  /** Who judges its images; the thread that asks by default. */
  readonly judge?: Judging | undefined;
}

/** One image of a case, and what was found in it; known errors and sources where a comparison was made. */
export interface StopOutcome
  extends
    Pick<Comparison, "findings" | "counts" | "volatile" | "pages">,
    Partial<Pick<Comparison, "sources" | "knownErrors">> {
  readonly label: string;
  readonly image: Uint8Array;
  readonly notes?: readonly string[] | undefined;
  /** Who saw the target's pages. */
  readonly seen?: SeenPages | undefined;
  /** Why the target was not restarted from it, where it was to be. */
  readonly notRestarted?: string | undefined;
}

/** A second look at a stopped process, after its checkpoint. */
export type SecondCheck = (seen: ObservedCheckpoint) => Promise<Pick<StopOutcome, "findings" | "notes">>;

/** What a case gave. It passes when no stop and no part of its own has a finding. */
export interface CaseOutcome {
  readonly stops: readonly StopOutcome[];
  /** Findings that belong to no image: set-up that failed, a target that died. */
  readonly findings: readonly Finding[];
}

interface JudgeOptions extends Partial<Pick<CompareOptions, "prediction" | "self" | "program">> {
  readonly kernel: GuestKernel;
  /** How the call must end; it must succeed when not given. */
  readonly expected?: ExpectedReply | undefined;
  /** The target's own pid, where that is not what the guest calls it. */
  readonly pid?: number | undefined;
  readonly secondCheck?: SecondCheck | undefined;
}

/** Judges a checkpoint that was observed: its reply, what it changed, and its image. */
export async function judgeCheckpoint(
  label: string,
  seen: ObservedCheckpoint,
  { kernel, prediction, self, program, expected, pid, secondCheck }: JudgeOptions,
): Promise<StopOutcome> {
  const { image, reply, changes } = seen;
  const { arch, series, dialect, revision, observed, judge = judgeImage } = kernel;
  const raw = { ...seen.raw, pid: pid ?? seen.raw.pid };
  const comparison = await judge({
    ...{ arch, series, dialect, revision, kernel: observed, image, raw, prediction, self, program },
  });
  const { findings: more = [], notes } = await secondCheck?.(seen) ?? {};
  const findings = [
    ...checkReply(reply, expected, kernel.dialect),
    ...changes,
    ...comparison.findings,
    ...more,
  ];
  return { ...comparison, label, image, findings, notes, seen: seen.seen };
}

/** An image that no comparison explains, or none at all. */
export function unjudged(label: string, image: Uint8Array, findings: readonly Finding[]): StopOutcome {
  const counts = { total: image.length, predicted: 0, observed: 0, volatile: 0, unexplained: image.length };
  return { label, image, findings, counts, volatile: new Map(), pages: 0 };
}
