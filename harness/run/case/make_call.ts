// SPDX-License-Identifier: MIT

import { SIGNALS } from "../../../lib/abi/signals.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import type { CheckpointResult, PausedCall, TargetEvent } from "../../../vm/agent/agent_types.ts";
import { type FileEnd, openOutput, type OutputOptions, wordBytes } from "./call_output.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { joinBytes } from "../../../lib/bytes.ts";
import { MANY_CALLS, watchForLeaks } from "../../check/leaks/leak_counters.ts";
import type { PlacedCall } from "./place_call.ts";
import { awaitConditions } from "./prepare_target.ts";
import { callFinding } from "../../check/check_reply.ts";
import { changesBetween, OBSERVED_FOR_CHANGES } from "../../check/target_changes.ts";
import type { CallPid } from "../../../lib/model/call.ts";
import { emptyTls, type PlannedAction } from "../../../lib/model/blocked_actions.ts";
import { abiOf } from "../../../lib/abi/arch.ts";

/** A call that a stop described, carried out. */
export interface MadeCall {
  readonly reply: CheckpointResult;
  /** All that came of its image, by whatever way. */
  readonly image: Uint8Array;
  readonly file: FileEnd | undefined;
  /** Other checkpoints that were made meanwhile. */
  readonly others: readonly CheckpointResult[];
  /** What the target did next, where it did not remain stopped. */
  readonly event: TargetEvent | undefined;
  /** What it changed about its target, and what it did not give back. */
  readonly findings: readonly Finding[];
}

interface MakeCallOptions {
  readonly checkpointNr: number;
  readonly pid: number;
  /** The id of a thread of the target that does not lead it. */
  readonly thread: number | undefined;
  readonly userfaultfd: number | undefined;
}

/** A caller that a signal ends, or that must not wait, is over long before. */
const LONGEST_WAIT_MS = 2000;

/**
 * Makes a call as a stop describes it, to where it says, with what happens meanwhile.
 *
 * @throws {AgentError} when the guest cannot do what is described
 */
export async function makeCall(
  agent: GuestAgent,
  plan: PlacedCall,
  options: MakeCallOptions,
): Promise<MadeCall> {
  const { pid } = options;
  const isUntouched = plan.target === "same" || plan.target === "busy";
  // From here on a page that somebody looks at shows it. A busy target uses its own.
  if (plan.target === "same") await agent.writeFile(`/proc/${pid}/clear_refs`, "1");
  const before = isUntouched ? await agent.observe(pid, OBSERVED_FOR_CHANGES) : new Map();
  const call = plan.caller.times >= MANY_CALLS ? callInRounds : openAndCall;
  const made = await call(agent, plan, options);
  const changes = isUntouched ? changesBetween(before, await agent.observe(pid, OBSERVED_FOR_CHANGES)) : [];
  return { ...made, image: made.file?.image ?? made.image, findings: [...made.findings, ...changes] };
}

async function openAndCall(
  agent: GuestAgent,
  plan: PlacedCall,
  options: MakeCallOptions,
): Promise<MadeCall> {
  const named = await resolvePid(agent, plan.caller.pid, options);
  const output = await openOutput(agent, plan.output);
  const made = await runCall(agent, plan, { ...options, output: output.options, named });
  return { ...made, file: await output.finish() };
}

async function callInRounds(
  agent: GuestAgent,
  plan: PlacedCall,
  options: MakeCallOptions,
): Promise<MadeCall> {
  // The first time much is made that stays.
  await openAndCall(agent, plan, options);
  const { times } = plan.caller;
  const { made, leaks } = await watchForLeaks(agent, { times }, () => openAndCall(agent, plan, options));
  return { ...made, findings: [...made.findings, ...leaks] };
}

async function runCall(
  agent: GuestAgent,
  plan: PlacedCall,
  options: MakeCallOptions & { readonly output: OutputOptions; readonly named: number },
): Promise<Omit<MadeCall, "file">> {
  const { output: { readerClosesAfter = 0, ...output }, whileBlocked } = plan;
  // Reading from a pipe that does not block its writer would be a race.
  const isLate = output.flags?.includes("O_NONBLOCK") === true && output.kind === "pipe";
  const places = [...whileBlocked.map(({ at }) => at), ...readerClosesAfter > 0 ? [readerClosesAfter] : []];
  const pauses = [...new Set(places)].sort((a, b) => a - b);
  if (isLate && pauses.length === 0) pauses.push(0);
  let event: TargetEvent | undefined;
  const others: CheckpointResult[] = [];
  const findings: Finding[] = [];
  const { signalBehind: _, ...caller } = plan.caller;
  const handled = plan.signalAt === undefined
    ? whileBlocked.find((action) => action.do === "signal" && action.handled === true)?.signal
    : "SIGUSR1";
  const hasWork = whileBlocked.some((action) => action.do === "work");
  const workFd = hasWork ? (await agent.call("eventfd2", 0, 0)).result : undefined;
  let reply = await agent.checkpoint({
    ...caller,
    ...options.output,
    ...{ workFd, nr: options.checkpointNr, pid: options.named, pauseAt: pauses[0] },
    // The handler is installed; the signal itself comes from the action, or at that place.
    handledSignal: handled && SIGNALS[handled],
    signalAt: plan.signalAt,
  });
  const parts = [reply.image ?? new Uint8Array(0)];
  for (const [index, at] of pauses.entries()) {
    const { paused } = reply;
    if (!paused) {
      if (plan.outcome.written === "nothing") break;
      findings.push(
        callFinding("E_OVER", "the call must wait for its reader", `at byte ${at}`, "it is over"),
      );
      break;
    }
    let wait = isLate;
    for (const action of whileBlocked.filter((one) => one.at === at)) {
      const result = await doAction(agent, action, {
        ...options,
        reader: options.output.reader,
        paused,
        workFd,
      });
      event = result.event ?? event;
      if (result.checkpoint) others.push(result.checkpoint);
      findings.push(...result.findings ?? []);
      // A signal ends the call though nobody reads on.
      wait ||= action.do === "signal";
    }
    reply = await agent.resume({
      handle: paused.handle,
      pauseAt: pauses[index + 1],
      closeReader: at === readerClosesAfter && at > 0 ? 1 : undefined,
      waitMs: wait ? LONGEST_WAIT_MS : undefined,
    });
    parts.push(reply.image ?? new Uint8Array(0));
  }
  if (workFd !== undefined) await agent.call("close", workFd);
  return { reply, image: joinBytes(parts), others, event, findings };
}

/** Pids that are the same in each guest; no process has the last one (PID_MAX_LIMIT). */
const FIXED_PIDS = { self: 0, init: 1, kthread: 2, none: 4_194_304 } as const;

/** The pid that a call is given. */
export async function resolvePid(
  agent: GuestAgent,
  pid: CallPid,
  { pid: target, thread, checkpointNr: nr }: Omit<MakeCallOptions, "userfaultfd">,
): Promise<number> {
  switch (pid) {
    case "target":
      return target;
    case "thread":
      if (thread === undefined) throw new RangeError("the target has told no id of a thread");
      return thread;
    case "zombie":
      return await agent.zombie();
    case "reaped":
      // The agent has waited for whoever made this call.
      return (await agent.checkpoint({ nr, pid: FIXED_PIDS.init, flags: 1 })).caller;
    default:
      return typeof pid === "number" ? pid : FIXED_PIDS[pid];
  }
}

interface ActionResult {
  /** What the target did next, where it ran on or ended. */
  readonly event?: TargetEvent;
  readonly checkpoint?: CheckpointResult;
  /** What did not come to be. */
  readonly findings?: readonly Finding[];
}

const ADVICE = { cold: 20, pageout: 21 } as const;
// include/uapi/linux/userfaultfd.h: _IOR(0xAA, 1, struct uffdio_range).
const UFFDIO_UNREGISTER = 0x8010aa01;
const FIONREAD = 0x541b;
/** A writer whose time was over once has filled all the room that there was. */
const MAX_SLEEPS = 3;
const PTRACE_SET_THREAD_AREA = 26;

/**
 * Does something while a checkpoint waits for its reader.
 *
 * @throws {AgentError} when the guest cannot do it
 */
async function doAction(
  agent: GuestAgent,
  action: PlannedAction,
  { pid, checkpointNr: nr, paused, userfaultfd, reader = -1, workFd = -1 }: MakeCallOptions & {
    paused: PausedCall;
    reader: number | undefined;
    workFd: number | undefined;
  },
): Promise<ActionResult> {
  switch (action.do) {
    case "nothing":
      return {};
    case "time_out":
      return { findings: await awaitShortWrite(agent, paused.caller, reader) };
    case "kill":
      await agent.signal(pid, SIGNALS.SIGKILL);
      return { event: await agent.event() };
    case "cont":
      await agent.cont(pid);
      return { event: await agent.event() };
    case "signal":
      await agent.signal(paused.caller, SIGNALS[action.signal ?? "SIGKILL"]);
      return {};
    case "checkpoint":
      return { checkpoint: await agent.checkpoint({ nr, pid }) };
    case "poke":
      await agent.poke(pid, action.address, Uint8Array.of(action.value ?? 0));
      return {};
    case "pageout":
    case "cold":
      await adviseProcess(agent, pid, action.do, action);
      return {};
    case "work":
      await agent.call("write", workFd, new Uint8Array(BigUint64Array.of(1n).buffer), 8);
      return {};
    case "unlink":
      await agent.call("unlink", action.path);
      return {};
    case "rename":
      await agent.call("rename", action.path, action.newPath);
      return {};
    case "unregister":
      await unregister(agent, pid, { ...action, userfaultfd });
      return {};
    case "clear_tls": {
      const { firstTlsSlot } = abiOf(agent.info.arch);
      const slot = firstTlsSlot + (action.entry ?? 0);
      await agent.call("ptrace", PTRACE_SET_THREAD_AREA, pid, slot, emptyTls(firstTlsSlot, action));
      return {};
    }
  }
}

/**
 * Waits until a write to a socket has ended early because its time is over, and another waits. The first time the
 * writer may find room and write more: that a reader took a little does not wake it (unix_write_space()).
 */
async function awaitShortWrite(agent: GuestAgent, caller: number, reader: number): Promise<Finding[]> {
  let before = await unreadBytes(agent, reader);
  for (let sleeps = 0; sleeps < MAX_SLEEPS; sleeps++) {
    const findings = await awaitNextSleep(agent, caller);
    const after = await unreadBytes(agent, reader);
    if (findings.length > 0 || after === before) return findings;
    before = after;
  }
  const grows = `${before} bytes lie unread, and they grow`;
  return [callFinding("E_SETUP", "a write must end early, its time being over", "no room for more", grows)];
}

async function unreadBytes(agent: GuestAgent, reader: number): Promise<number> {
  const { bytes } = await agent.call("ioctl", reader, FIONREAD, new Uint8Array(4));
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
}

/** Waits until a process that sleeps has woken up and sleeps again. */
async function awaitNextSleep(agent: GuestAgent, pid: number): Promise<Finding[]> {
  const file = `/proc/${pid}/status`;
  const status = new TextDecoder().decode(await agent.readFile(file));
  const [count] = /^voluntary_ctxt_switches:\s\d+$/m.exec(status) ?? ["no count"];
  return await awaitConditions(agent, { pid, waitFor: [{ file, notMatching: `^${count}$` }] });
}

/** A part of a process's memory. */
export type MemoryRange = Pick<PlannedAction, "address" | "length">;

/** Gives advice about memory of another process: `pageout` or `cold`. */
export async function adviseProcess(
  agent: GuestAgent,
  pid: number,
  advice: keyof typeof ADVICE,
  { address, length }: MemoryRange,
): Promise<void> {
  const { result: fd } = await agent.call("pidfd_open", pid, 0);
  const vector = wordBytes(agent, address, BigInt(length));
  await agent.call("process_madvise", fd, vector, 1, ADVICE[advice], 0);
  await agent.call("close", fd);
}

/** Another process takes the target's userfaultfd over, as a monitor of it would have it. */
async function unregister(
  agent: GuestAgent,
  pid: number,
  { userfaultfd = -1, address, length }: MemoryRange & { userfaultfd: number | undefined },
): Promise<void> {
  const { result: pidfd } = await agent.call("pidfd_open", pid, 0);
  const { result: fd } = await agent.call("pidfd_getfd", pidfd, userfaultfd, 0);
  const range = new Uint8Array(BigUint64Array.of(address, BigInt(length)).buffer);
  await agent.call("ioctl", fd, UFFDIO_UNREGISTER, range);
  await agent.call("close", fd);
  await agent.call("close", pidfd);
}
