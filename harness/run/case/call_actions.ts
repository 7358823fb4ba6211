// SPDX-License-Identifier: MIT

import { SIGNALS } from "../../../lib/abi/signals.ts";
import type { PlannedAction } from "../../../lib/model/predict_call.ts";
import type { CheckpointResult, PausedCall, TargetEvent } from "../../../vm/agent/agent_types.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { GuestSyscalls } from "./guest_syscalls.ts";

/** What an action may need to know. */
export interface ActionContext {
  readonly agent: GuestAgent;
  /** The target. */
  readonly pid: number;
  readonly checkpointNr: number;
  /** The call that waits. */
  readonly paused: PausedCall;
  /** The target's descriptor of its userfaultfd. */
  readonly userfaultfd: number | undefined;
}

/** What an action gave. */
export interface ActionResult {
  /** What the target did next, where it ran on or ended. */
  readonly event?: TargetEvent;
  /** Another checkpoint of it. */
  readonly checkpoint?: CheckpointResult;
}

const ADVICE = { cold: 20, pageout: 21 } as const;
const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
// include/uapi/linux/userfaultfd.h: _IOR(0xAA, 1, struct uffdio_range).
const UFFDIO_UNREGISTER = 0x8010aa01;

/**
 * Does something while a checkpoint waits for its reader.
 *
 * @throws {UsageError} when the guest cannot do it
 */
export async function doAction(action: PlannedAction, context: ActionContext): Promise<ActionResult> {
  const { agent, pid } = context;
  const calls = new GuestSyscalls(agent);
  switch (action.do) {
    case "nothing":
      return {};
    case "kill":
      await agent.signal(pid, SIGNALS.SIGKILL);
      return { event: await agent.event() };
    case "cont":
      await agent.cont(pid);
      return { event: await agent.event() };
    case "signal":
      await agent.signal(context.paused.caller, SIGNALS[action.signal ?? "SIGKILL"]);
      return {};
    case "checkpoint":
      return { checkpoint: await agent.checkpoint({ nr: context.checkpointNr, pid }) };
    case "poke":
      await poke(calls, pid, action);
      return {};
    case "pageout":
    case "cold":
      await adviseProcess(calls, pid, action.do, action);
      return {};
    case "unlink":
      await calls.call("unlink", action.path);
      return {};
    case "rename":
      await calls.call("rename", action.path, action.newPath);
      return {};
    case "unregister":
      await unregister(calls, context, action);
      return {};
  }
}

async function poke(calls: GuestSyscalls, pid: number, { address, value = 0 }: PlannedAction): Promise<void> {
  const { result: fd } = await calls.call("open", `/proc/${pid}/mem`, O_RDWR | O_CLOEXEC);
  const position = calls.wordSize === 8 ? [address] : [address & 0xffffffffn, address >> 32n];
  await calls.call("pwrite64", fd, Uint8Array.of(value), 1, ...position);
  await calls.call("close", fd);
}

/** A part of a process's memory. */
export type MemoryRange = Pick<PlannedAction, "address" | "length">;

/** Gives advice about memory of another process: `pageout` or `cold`. */
export async function adviseProcess(
  calls: GuestSyscalls,
  pid: number,
  advice: keyof typeof ADVICE,
  { address, length }: MemoryRange,
): Promise<void> {
  const { result: fd } = await calls.call("pidfd_open", pid, 0);
  const vector = calls.words(address, BigInt(length));
  await calls.call("process_madvise", fd, vector, 1, ADVICE[advice], 0);
  await calls.call("close", fd);
}

/** Another process takes the target's userfaultfd over, as a monitor of it would have it. */
async function unregister(
  calls: GuestSyscalls,
  { pid, userfaultfd = -1 }: ActionContext,
  { address, length }: PlannedAction,
): Promise<void> {
  const { result: pidfd } = await calls.call("pidfd_open", pid, 0);
  const { result: fd } = await calls.call("pidfd_getfd", pidfd, userfaultfd, 0);
  const range = new Uint8Array(BigUint64Array.of(address, BigInt(length)).buffer);
  await calls.call("ioctl", fd, UFFDIO_UNREGISTER, range);
  await calls.call("close", fd);
  await calls.call("close", pidfd);
}
