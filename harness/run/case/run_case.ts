// SPDX-License-Identifier: MIT

import { hex } from "../../../lib/bytes.ts";
import { type Finding, mismatch } from "../../../lib/image/finding.ts";
import type { CompiledScenario, CompiledStop } from "../../../lib/model/compile_scenario.ts";
import type { ResultRole } from "../../../lib/model/target_op.ts";
import type { TargetEvent } from "../../../vm/agent/agent_types.ts";
import { checkResults, type ResultItem } from "../../check/check_reply.ts";
import { lostMemory, MANY_CALLS, readLeakCounters } from "../../check/leaks/leak_counters.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import {
  type CaseOutcome,
  type GuestKernel,
  judgeCheckpoint,
  observeCheckpoint,
  type ObservedCheckpoint,
  type SecondCheck,
  type StopOutcome,
} from "./observe_checkpoint.ts";
import { awaitConditions, prepareTarget } from "./prepare_target.ts";
import { RAM_DISK_SIZE } from "../../../lib/abi/arch.ts";
import { ERRNO } from "../../../lib/abi/errno.ts";
import type { SetupStep } from "../../../lib/model/scenario.ts";
import type { CompileTarget, ProgramFacts } from "../../../lib/model/state/model_state.ts";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import { formatExt2 } from "../../../vm/qemu/ext2_file_system.ts";
import { formatSwapArea } from "../../../vm/qemu/swap_area.ts";
import type { SelfCall } from "../../../lib/compare/comparison_context.ts";
import type { CallPlan } from "../../../lib/model/predict_call.ts";
import type { StopPrediction } from "../../../lib/model/predict_stop.ts";
import { SCRATCH_BYTES } from "../../../vm/agent/target_program.ts";
import { checkCall } from "../../check/check_call.ts";
import { makeCall } from "./make_call.ts";
import { placeCall } from "./place_call.ts";
import { describedRestart } from "./described_restart.ts";
import { restartStop, type RestartStopOptions, whyNotRestarted } from "./restart_stop.ts";

/**
 * Longest wait for a target to carry its steps out: thousands of calls, emulated, on a machine that is busy.
 */
const TARGET_DEADLINE_MS = 60_000;

/** What is done where a target has stopped, before its checkpoint; it may take any time. */
export interface BeforeCall {
  readonly beforeCall?: ((stop: StoppedAt) => Promise<void>) | undefined;
}

/** Where a target has stopped. */
export interface StoppedAt {
  readonly label: string;
  readonly pid: number;
  /** Whether it has made the call itself by then. */
  readonly isOwn: boolean;
}

/** How a compiled scenario is carried out in a guest. */
export interface CaseOptions
  extends Pick<StopOptions, "kernel" | "onCheckpoint" | "secondCheck">, BeforeCall {
  /** The scenario's ops, encoded for the target. */
  readonly program: Uint8Array;
  readonly decodeResults: (bytes: Uint8Array) => readonly ResultItem[];
  /** Whether the target goes on from each of its images in a new process. */
  readonly restarts?: boolean | undefined;
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
  const undo = await setUpCase(agent, compiled.scenario.setup ?? [], compiled.target.program);
  const times = Math.max(...compiled.stops.map(({ call }) => call?.caller.times ?? 1));
  const counters = times >= MANY_CALLS ? await readLeakCounters(agent) : undefined;
  await agent.program(options.program);
  const user = compiled.scenario.setup?.find((step) => "uid" in step) ?? {};
  const spawned = await agent.spawn(user);
  const { stops, findings } = await runStops(agent, compiled, { ...options, user, spawned });
  if (compiled.scenario.setup) {
    // Swap can be switched off, and huge pages forbidden, once nobody has them.
    await agent.clean();
    await undo();
  }
  if (counters) {
    // What holds on to the target's memory shows when the target is gone.
    await agent.clean();
    findings.push(...lostMemory(counters, await readLeakCounters(agent)));
  }
  return { stops: await Promise.all(stops), findings };
}

/** An image, and what comes of it: the target goes on while it is judged. */
interface TakenImage {
  readonly image: Uint8Array;
  readonly outcome: Promise<StopOutcome>;
}

async function runStops(
  agent: GuestAgent,
  compiled: CompiledScenario,
  { user, spawned, ...options }: CaseOptions & Pick<RestartStopOptions, "user"> & {
    readonly spawned: number;
  },
): Promise<{ stops: (StopOutcome | Promise<StopOutcome>)[]; findings: Finding[] }> {
  const stops: (StopOutcome | Promise<StopOutcome>)[] = [];
  const findings: Finding[] = [];
  let subject = spawned;
  let ownBytes = 0;
  let event: TargetEvent | undefined;
  for (const [index, stop] of compiled.stops.entries()) {
    event ??= await agent.event({ deadlineMs: TARGET_DEADLINE_MS });
    // Of what the guest answers, that of one image and of the next is kept for whoever looks into a judge's error.
    await Promise.all(stops);
    const results = options.decodeResults(await agent.results());
    // A call that went wrong is told once, at the first stop after it.
    if (findings.length === 0) {
      findings.push(...checkResults(results, compiled.results.slice(0, stop.resultsBefore)));
    }
    if (event.kind !== "stop" || event.label !== index) {
      findings.push(targetLost(stop.label, describeEvent(event)));
      return { stops, findings };
    }
    findings.push(...await awaitConditions(agent, { ...stop, pid: event.pid }));
    const prepared = await prepareTarget(agent, event, stop.tracer);
    findings.push(...prepared.findings);
    const resultOf = (role: ResultRole): bigint | undefined =>
      results.findLast((_, at) => compiled.results[at]?.role === role)?.value;
    const { pid, scratch } = event;
    await options.beforeCall?.({ label: stop.label, pid, isOwn: stop.self });
    const context: StopOptions = { ...options, target: compiled.target, pid, scratch, resultOf, ownBytes };
    const plain = stop.tracer.busy ? undefined : await checkpointStop(agent, stop, context);
    if (plain) stops.push(plain.outcome);
    let from = plain;
    if (stop.self) ownBytes += plain?.image.length ?? 0;
    event = undefined;
    if (stop.call) {
      const called = await callStop(agent, { ...stop, call: stop.call }, context, plain);
      stops.push(...called.stops);
      event = called.event;
      from = called.after ?? plain;
      if (stop.call.target === "killed") {
        await prepared.forget();
        if (event?.kind !== "signal") {
          findings.push(targetLost("its end", event ? describeEvent(event) : "none"));
        }
        return { stops, findings };
      }
    }
    if (event) continue;
    let restarted: number | undefined;
    // What happened during a call is in the image of the plain one behind it. Merged pages are merged anew.
    const prediction = stop.call?.after ?? stop.prediction;
    const last = { ...stop, prediction, waitsForMerge: compiled.stops.some((one) => one.waitsForMerge) };
    const isLast = index === compiled.stops.length - 1;
    const { kernelWordSize: wordSize } = compiled.target;
    const breaksSwap = compiled.scenario.steps?.some(({ op }) => op === "break_swap") ?? false;
    const state = { pid, spawned: subject, isLast, breaksSwap, wordSize };
    const checkpoint = async (one: CompiledStop, pid: number) =>
      (await checkpointStop(agent, one, { ...context, pid })).outcome;
    const notRestarted = whyNotRestarted(last, state);
    if (stop.restart && from) {
      const restarting = { ...last, restart: stop.restart };
      const outcome = await describedRestart(agent, restarting, from, {
        ...{ pid, wordSize, series: options.kernel.series, checkpoint },
      });
      stops.push(...outcome.stops);
      if (outcome.isEnded) return { stops, findings };
      restarted = outcome.pid;
      subject = outcome.pid ?? subject;
    } else if (options.restarts && stops.length > 0 && notRestarted !== undefined) {
      stops[stops.length - 1] = { ...await stops.at(-1)!, notRestarted };
    } else if (options.restarts && from) {
      const how = index % 2 === 0 ? "file" : "pipe";
      const outcome = await restartStop(agent, last, from, {
        ...{ pid, how, user, wordSize, series: options.kernel.series, checkpoint },
      });
      stops.push(outcome.stop);
      if (outcome.pid === undefined) return { stops, findings };
      subject = restarted = outcome.pid;
    }
    const stays = restarted === undefined ? undefined : stop.restart?.spec.stays;
    if (stays === "running") await prepared.forget();
    else await prepared.release(restarted);
    if (stays === "traced") await agent.detach(restarted!);
  }
  const end = event ?? await agent.event({ deadlineMs: TARGET_DEADLINE_MS });
  if (end.kind !== "exit" || end.code !== 0) findings.push(targetLost("its end", describeEvent(end)));
  // The target's own look at its memory comes after the last checkpoint.
  else if (findings.length === 0) {
    findings.push(...checkResults(options.decodeResults(await agent.results()), compiled.results));
  }
  return { stops, findings };
}

/** What a target did, in words. */
export function describeEvent(event: TargetEvent): string {
  if (event.kind === "stop") return `stopped at label ${event.label}`;
  return event.kind === "exit" ? `exit status ${event.code}` : `ended by signal ${event.signal}`;
}

function targetLost(where: string, event: string): Finding {
  const message = "the target did not get there, or did not end well after its checkpoint";
  return mismatch("E_TARGET", { path: `target before "${where}"`, message, actual: event });
}

/** The RAM disk whose pages are written at once, and the one behind a loop device, which takes its time. */
const SWAP_DEVICES = { ram: "/dev/ram0", loop: "/dev/loop0" } as const;

const [O_RDWR, LOOP_SET_FD] = [2, 0x4c00];

/**
 * Does what a scenario wants done before its target starts.
 *
 * @returns undoes it again, the last step first
 */
export async function setUpCase(
  agent: GuestAgent,
  steps: readonly SetupStep[],
  program?: ProgramFacts,
): Promise<() => Promise<void>> {
  const undo: (() => Promise<void>)[] = [];
  // Where the target's program starts, as uprobes name places.
  const entry = `/target:${hex(program?.entryOffset ?? 0)}`;
  for (const step of steps) {
    // Who the target is, is said when it starts.
    if ("uid" in step) continue;
    if ("swap" in step && step.swap === "loop") await attachLoop(agent);
    if ("swap" in step) undo.push(await swapOn(agent, step.swap));
    else if ("mount" in step) undo.push(await mountExt2(agent));
    else undo.push(await write(agent, step.write, step.value.replace("{entry}", entry)));
  }
  return async () => {
    for (const one of undo.reverse()) await one();
  };
}

async function write(agent: GuestAgent, path: string, value: string): Promise<() => Promise<void>> {
  const before = settingOf(new TextDecoder().decode(await agent.readFile(path)));
  await agent.writeFile(path, value);
  return () => agent.writeFile(path, before);
}

/**
 * The value of a file below /proc/sys or /sys; of a choice, `always [madvise] never`, the word in brackets.
 */
export function settingOf(text: string): string {
  return /\[([^\]]+)\]/.exec(text)?.[1] ?? text.trim();
}

async function swapOn(agent: GuestAgent, kind: "ram" | "loop"): Promise<() => Promise<void>> {
  const device = SWAP_DEVICES[kind];
  await agent.writeFile(device, formatSwapArea(RAM_DISK_SIZE));
  await agent.call("swapon", device, 0);
  return async () => void await agent.call("swapoff", device);
}

const WORK_DIRECTORY = "/work";

async function mountExt2(agent: GuestAgent): Promise<() => Promise<void>> {
  await agent.writeFile(SWAP_DEVICES.ram, formatExt2());
  await agent.mount({ type: "ext2", directory: WORK_DIRECTORY, source: SWAP_DEVICES.ram });
  return async () => void await agent.call("umount2", WORK_DIRECTORY, 0);
}

/** Puts the loop device in front of the second RAM disk; it stays there as long as the guest lives. */
async function attachLoop(agent: GuestAgent): Promise<void> {
  const { result: disk } = await agent.call("open", "/dev/ram1", O_RDWR);
  const { result: loop } = await agent.call("open", SWAP_DEVICES.loop, O_RDWR);
  await agent.call("ioctl", loop, LOOP_SET_FD, disk).catch((error) => {
    if (!(error instanceof AgentError) || error.errno !== ERRNO.EBUSY) throw error;
  });
  await agent.call("close", loop);
  await agent.call("close", disk);
}

/** What is known where a target has stopped. */
interface StopOptions {
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
async function checkpointStop(
  agent: GuestAgent,
  stop: CompiledStop,
  options: StopOptions,
): Promise<TakenImage> {
  const { kernel, pid, resultOf, ownBytes, onCheckpoint, secondCheck } = options;
  const { self, prediction } = stop;
  const { refusal, pages: modelled } = prediction;
  const seen = await observeCheckpoint(agent, {
    kernel,
    pid,
    own: self ? { bytes: ownBytes, result: resultOf("checkpoint") ?? 0n } : undefined,
    brk: resultOf("break"),
    signals: prediction.signals,
    // The model knows these pages to the byte: no need to ask the guest for them.
    hashPage: (page) => !modelled.has(page),
  });
  onCheckpoint?.(seen, stop);
  const outcome = judgeCheckpoint(stop.label, seen, {
    ...{ kernel, prediction, expected: refusal, program: options.target.program },
    self: self ? selfCall(stop, options) : undefined,
    // Its own checkpoints name a target as it knows itself.
    pid: self ? Number(resultOf("pid") ?? pid) : undefined,
    secondCheck: self || refusal ? undefined : secondCheck,
  });
  // A guest may be lost before anybody asks what came of it.
  outcome.catch(() => {});
  // Whoever looks at the target as well does so before it goes on.
  if (secondCheck) await outcome;
  return { image: seen.image, outcome };
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
async function callStop(
  agent: GuestAgent,
  { call: plan, ...stop }: CompiledStop & { readonly call: CallPlan },
  options: StopOptions,
  plain: TakenImage | undefined,
): Promise<{
  stops: (StopOutcome | Promise<StopOutcome>)[];
  after: TakenImage | undefined;
  event: TargetEvent | undefined;
}> {
  const { pid, kernel: { checkpointNr, dialect }, resultOf } = options;
  const numberOf = (value: bigint | undefined) => value === undefined ? undefined : Number(value);
  const placed = placeCall(plan, plain?.image);
  const made = await makeCall(agent, placed, {
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
    ...coverageOfCall(plan, made.image, await plain?.outcome),
    label: plain ? `${stop.label}, call` : stop.label,
    image: made.image,
    findings: checkCall(placed, made, { before, after: after?.image, dialect }),
  };
  return { stops: after ? [call, after.outcome] : [call], after, event: made.event };
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
