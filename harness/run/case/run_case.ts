// SPDX-License-Identifier: MIT

import type { KernelArch } from "../../../lib/abi/arch.ts";
import type { Dialect } from "../../../lib/abi/dialect.ts";
import type { KernelSeries } from "../../../lib/abi/series.ts";
import type { ByteCounts } from "../../../lib/compare/byte_account.ts";
import type { Comparison } from "../../../lib/compare/compare_image.ts";
import type { KernelObservation } from "../../../lib/compare/observation.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import { errnoName } from "../../../lib/abi/errno.ts";
import type { CompiledScenario, CompiledStop } from "../../../lib/model/compile_scenario.ts";
import type { CallPlan } from "../../../lib/model/predict_call.ts";
import type { Refusal } from "../../../lib/model/predict_stop.ts";
import { busyOf } from "../../../lib/model/tracer_words.ts";
import type { ResultRole } from "../../../lib/model/target_op.ts";
import type { CheckpointResult, TargetEvent } from "../../../vm/agent/agent_types.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import { checkCall } from "../../check/check_call.ts";
import { checkImage } from "../../check/check_image.ts";
import { lostMemory, MANY_CALLS, readLeakCounters } from "../../check/leaks/leak_counters.ts";
import { resolvePid } from "./call_pid.ts";
import { makeCall } from "./make_call.ts";
import { observeCheckpoint, type ObservedCheckpoint } from "./observe_checkpoint.ts";
import { holdTarget } from "./hold_target.ts";
import { setUpCase } from "./case_setup.ts";
import { changesBetween, OBSERVED_FOR_CHANGES } from "../../check/target_changes.ts";
import { awaitConditions } from "./stop_conditions.ts";
import { checkResults, type ResultItem } from "../../check/check_results.ts";

/**
 * Longest wait for a target to carry its steps out: thousands of calls, emulated, on a machine that is busy.
 */
const TARGET_DEADLINE_MS = 60_000;

/** What a guest was built as, for the comparison. */
export interface GuestKernel {
  readonly arch: KernelArch;
  readonly series: KernelSeries;
  /** Whose kernel code answers the call. */
  readonly dialect: Dialect;
  /** Number of the system call for the agent. */
  readonly checkpointNr: number;
  /** The same for a target that calls it itself, where that is another one. */
  readonly targetNr?: number;
  readonly observed: KernelObservation;
}

/** One image of a case, and what was found in it. */
export interface StopOutcome {
  readonly label: string;
  readonly image: Uint8Array;
  readonly findings: readonly Finding[];
  readonly counts: ByteCounts;
  readonly volatile: Comparison["volatile"];
  readonly pages: number;
  /** What a second judge counted, a line each. */
  readonly notes?: readonly string[];
}

/** A second look at a stopped process, after its checkpoint. */
export type SecondCheck = (seen: ObservedCheckpoint) => Promise<Pick<StopOutcome, "findings" | "notes">>;

/** What a case gave. It passes when no stop and no part of its own has a finding. */
export interface CaseOutcome {
  readonly stops: readonly StopOutcome[];
  /** Findings that belong to no image: set-up that failed, a target that died. */
  readonly findings: readonly Finding[];
}

/** How a compiled scenario is carried out in a guest. */
export interface CaseOptions {
  readonly kernel: GuestKernel;
  /** The scenario's ops, encoded for the target. */
  readonly program: Uint8Array;
  readonly decodeResults: (bytes: Uint8Array) => ResultItem[];
  readonly targetPath: string;
  /** Told of each checkpoint with all that was observed around it. */
  readonly onCheckpoint?: (seen: ObservedCheckpoint, stop: CompiledStop) => void;
  readonly secondCheck?: SecondCheck | undefined;
}

/**
 * Carries out a scenario in a guest and judges each image. Rejects with GuestLostError when the guest is
 * lost.
 */
export async function runCase(
  guest: Guest,
  compiled: CompiledScenario,
  options: CaseOptions,
): Promise<CaseOutcome> {
  const { agent } = guest;
  await agent.clean();
  const undo = await setUpCase(agent, compiled.scenario.setup ?? []);
  const times = Math.max(...compiled.stops.map(({ call }) => call?.caller.times ?? 1));
  const counters = times >= MANY_CALLS ? await readLeakCounters(agent) : undefined;
  await agent.program(options.program);
  const user = compiled.scenario.setup?.find((step) => "uid" in step) ?? {};
  await agent.spawn({ path: options.targetPath, ...user });
  const outcome = await runStops(agent, compiled, options);
  if (compiled.scenario.setup) {
    // Swap can be switched off, and huge pages forbidden, once nobody has them.
    await agent.clean();
    await undo();
  }
  if (!counters) return outcome;
  // What holds on to the target's memory shows when the target is gone.
  await agent.clean();
  const leaks = lostMemory(counters, await readLeakCounters(agent));
  return { ...outcome, findings: [...outcome.findings, ...leaks] };
}

async function runStops(
  agent: GuestAgent,
  compiled: CompiledScenario,
  options: CaseOptions,
): Promise<CaseOutcome> {
  const stops: StopOutcome[] = [];
  const findings: Finding[] = [];
  let lastId = 0;
  let ownBytes = 0;
  let event: TargetEvent | undefined;
  for (const [index, stop] of compiled.stops.entries()) {
    event ??= await agent.event({ deadlineMs: TARGET_DEADLINE_MS });
    const results = options.decodeResults(await agent.results());
    // A call that went wrong is told once, at the first stop after it.
    if (findings.length === 0) {
      findings.push(...checkResults(results, compiled.results.slice(0, stop.resultsBefore)));
    }
    if (event.kind !== "stop" || event.label !== index) {
      findings.push(targetLost(stop.label, describeEvent(event)));
      return { stops, findings };
    }
    const brk = results.findLast((item, at) =>
      compiled.results[at]?.role === "break" && item.value !== undefined
    )
      ?.value;
    findings.push(...await awaitConditions(agent, { ...stop, pid: event.pid }));
    const { pid } = event;
    const ownPid = results.findLast((_, at) => compiled.results[at]?.role === "pid")?.value;
    const held = await holdTarget(agent, event, stop.tracer);
    findings.push(...held.findings);
    const context = { ...options, pid, brk, ownPid, ownBytes, lastId };
    const outcome = isCallRefused(stop)
      ? await refusedStop(agent, stop, { kernel: options.kernel, pid, thread: threadOf(compiled, results) })
      : await checkpointStop(agent, stop, context);
    lastId = Math.max(lastId, outcome.id);
    stops.push(outcome.stop);
    if (stop.self) ownBytes += outcome.stop.image.length;
    event = undefined;
    if (stop.call) {
      const called = await callStop(agent, stop, { ...context, lastId, compiled, results }, outcome.stop);
      stops.push(...called.stops);
      ({ lastId, event } = called);
      if (stop.call.target === "killed") {
        if (event?.kind !== "signal") {
          findings.push(targetLost("its end", event ? describeEvent(event) : "none"));
        }
        return { stops, findings };
      }
    }
    if (!event) await held.release();
  }
  const end = event ?? await agent.event({ deadlineMs: TARGET_DEADLINE_MS });
  if (end.kind !== "exit" || end.code !== 0) findings.push(targetLost("its end", describeEvent(end)));
  // The target's own look at its memory comes after the last checkpoint.
  else if (findings.length === 0) {
    findings.push(...checkResults(options.decodeResults(await agent.results()), compiled.results));
  }
  return { stops, findings };
}

const WHOM = {
  "zombie": "zombie",
  "dead pid": "reaped",
  "no such pid": 0x7fff_ffff,
  "thread id": "thread",
  "kernel thread": "kthread",
} as const;

function threadOf(compiled: CompiledScenario, results: readonly ResultItem[]): number | undefined {
  const value = results.findLast((_, at) => compiled.results[at]?.role === "thread")?.value;
  return value === undefined ? undefined : Number(value);
}

interface CallStopOptions extends StopOptions {
  readonly compiled: CompiledScenario;
  readonly results: readonly ResultItem[];
}

/** Makes the call that a stop describes, and a plain one after it where the target is still stopped. */
async function callStop(
  agent: GuestAgent,
  stop: CompiledStop,
  { compiled, results, ...options }: CallStopOptions,
  plain: StopOutcome,
): Promise<{ stops: StopOutcome[]; lastId: number; event: TargetEvent | undefined }> {
  const plan = stop.call!;
  const resultOf = (role: ResultRole): number | undefined => {
    const value = results.findLast((_, at) => compiled.results[at]?.role === role)?.value;
    return value === undefined ? undefined : Number(value);
  };
  const made = await makeCall(agent, plan, {
    pid: options.pid,
    checkpointNr: options.kernel.checkpointNr,
    thread: resultOf("thread"),
    userfaultfd: resultOf("userfaultfd"),
  });
  const ids = [made.reply, ...made.others].map(({ result }) => Number(result));
  let lastId = Math.max(options.lastId, ...ids);
  const after = plan.after &&
    await checkpointStop(agent, { ...stop, label: `${stop.label}, afterwards`, prediction: plan.after }, {
      ...options,
      lastId,
    });
  lastId = Math.max(lastId, after?.id ?? 0);
  const references = { before: plain.image, after: after?.stop.image, lastId: options.lastId };
  const call = {
    ...accountOfCall(plan, made.image, plain),
    label: `${stop.label}, call`,
    image: made.image,
    findings: checkCall(plan, made, references),
  };
  return { stops: after ? [call, after.stop] : [call], lastId, event: made.event };
}

/**
 * The byte account of a call's image. A whole one is, byte for byte, that of the plain call; of a cut one
 * each byte is seen in that.
 */
function accountOfCall(
  { outcome: { written } }: CallPlan,
  { length }: Uint8Array,
  plain: StopOutcome,
): Pick<StopOutcome, "counts" | "volatile" | "pages"> {
  if (written === "whole") return { counts: plain.counts, volatile: plain.volatile, pages: plain.pages };
  const counts = { total: length, predicted: 0, observed: length, volatile: 0, unexplained: 0 };
  return { counts, volatile: new Map(), pages: 0 };
}

function describeEvent(event: TargetEvent): string {
  if (event.kind === "stop") return `stopped at label ${event.label}`;
  return event.kind === "exit" ? `exit status ${event.code}` : `ended by signal ${event.signal}`;
}

function targetLost(where: string, event: string): Finding {
  return {
    id: "E_TARGET",
    verdict: "mismatch",
    path: `target before "${where}"`,
    message: "the target did not get there, or did not end well after its checkpoint",
    actual: event,
  };
}

interface StopOptions extends CaseOptions {
  readonly pid: number;
  readonly brk: bigint | undefined;
  /** What getpid(2) told the target: the pid that its own checkpoints name it by. */
  readonly ownPid: bigint | undefined;
  /** Bytes of images that the target wrote of itself before. */
  readonly ownBytes: number;
  readonly lastId: number;
}

async function checkpointStop(
  agent: GuestAgent,
  stop: CompiledStop,
  options: StopOptions,
): Promise<{ id: number; stop: StopOutcome }> {
  const { kernel, pid } = options;
  const modelled = stop.prediction.pages;
  const seen = await observeCheckpoint(agent, {
    pid,
    checkpointNr: kernel.checkpointNr,
    zeroFrame: kernel.observed.zeroFrame,
    self: stop.self,
    ownBytes: options.ownBytes,
    brk: options.brk,
    // The model knows these pages to the byte: no need to ask the guest for them.
    hashPage: (page) => !modelled.has(page),
  });
  options.onCheckpoint?.(seen, stop);
  const refusal = stop.prediction.refusal;
  const comparison = checkImage(seen.image, {
    arch: kernel.arch,
    series: kernel.series,
    dialect: kernel.dialect,
    kernel: kernel.observed,
    target: stop.self ? { ...seen.observation, pid: Number(options.ownPid ?? pid) } : seen.observation,
    prediction: stop.prediction,
    self: stop.self,
    checkpointNr: kernel.targetNr ?? kernel.checkpointNr,
  });
  const findings = [
    ...(stop.self ? [] : checkReply(seen.reply, refusal, options.lastId)),
    ...seen.changes,
    ...comparison.findings,
  ];
  const outcome = outcomeOf(stop.label, seen, comparison, findings);
  const isJudged = options.secondCheck && !stop.self && !refusal;
  return {
    id: Number(seen.reply.result),
    stop: isJudged ? await withSecondCheck(outcome, seen, options.secondCheck) : outcome,
  };
}

/** Whether the call is refused for the target's sake, before anything of the target is looked at. */
function isCallRefused({ tracer }: CompiledStop): boolean {
  return tracer.whom !== undefined || busyOf(tracer.hold) !== undefined;
}

/**
 * A call for a process that cannot be checkpointed as it is. Its registers cannot be asked for then, and no
 * image needs them: it must return the errno, write nothing, and change nothing about the target.
 */
async function refusedStop(
  agent: GuestAgent,
  { label, prediction: { refusal }, tracer: { whom } }: CompiledStop,
  { kernel, pid, thread }: { kernel: GuestKernel; pid: number; thread: number | undefined },
): Promise<{ id: number; stop: StopOutcome }> {
  const before = await agent.observe(pid, OBSERVED_FOR_CHANGES);
  const nr = kernel.checkpointNr;
  const named = whom ? await resolvePid(agent, WHOM[whom], { pid, thread, checkpointNr: nr }) : pid;
  const reply = await agent.checkpoint({ nr, pid: named });
  const changes = changesBetween(before, await agent.observe(pid, OBSERVED_FOR_CHANGES));
  const image = reply.image ?? new Uint8Array(0);
  const counts = { total: image.length, predicted: 0, observed: 0, volatile: 0, unexplained: image.length };
  const findings = [...checkReply(reply, refusal, 0), ...changes, ...checkNoOutput(image)];
  const stop = { label, image, findings, counts, volatile: new Map(), pages: 0 };
  return { id: Number(reply.result), stop };
}

function checkNoOutput({ length }: Uint8Array): Finding[] {
  if (length === 0) return [];
  const message = "the call had to be refused before a byte was written";
  const actual = `${length} bytes`;
  return [{
    id: "E_REFUSED_OUTPUT",
    verdict: "mismatch",
    path: "image",
    message,
    expected: "0 bytes",
    actual,
  }];
}

/** Adds what a second judge says. */
export async function withSecondCheck(
  outcome: StopOutcome,
  seen: ObservedCheckpoint,
  judge: SecondCheck | undefined,
): Promise<StopOutcome> {
  if (!judge) return outcome;
  const { findings, notes = [] } = await judge(seen);
  return { ...outcome, findings: [...outcome.findings, ...findings], notes };
}

/** Makes a stop's outcome from its parts. */
export function outcomeOf(
  label: string,
  seen: ObservedCheckpoint,
  comparison: Comparison,
  findings: readonly Finding[],
): StopOutcome {
  return {
    label,
    image: seen.image,
    findings,
    counts: comparison.counts,
    volatile: comparison.volatile,
    pages: comparison.pages,
  };
}

/** Checks what the system call returned: an id above the last one, or the predicted errno. */
export function checkReply(reply: CheckpointResult, refusal: Refusal | undefined, lastId: number): Finding[] {
  const id = Number(reply.result);
  const actual = id < 0 ? errnoName(reply.errno) : String(id);
  const wrong = refusal ? id >= 0 || reply.errno !== refusal.errno : id <= lastId;
  if (!wrong) return [];
  return [{
    id: "E_RETURN",
    verdict: "mismatch",
    path: "checkpoint(2)",
    message: refusal
      ? `the call had to be refused: ${refusal.why}`
      : "the call must return a new id from 1 up",
    expected: refusal ? refusal.name : `an id above ${lastId}`,
    actual,
  }];
}
