// SPDX-License-Identifier: MIT

import { SIGNALS } from "../../../lib/abi/signals.ts";
import type { PlannedAction } from "../../../lib/model/blocked_actions.ts";
import type { CheckpointResult, PausedCall, TargetEvent } from "../../../vm/agent/agent_types.ts";
import type { GuestAgent } from "../guest/guest.ts";

interface ActionContext {
  readonly agent: GuestAgent;
  readonly pid: number;
  readonly checkpointNr: number;
  readonly paused: PausedCall;
  readonly userfaultfd: number | undefined;
  /** The eventfd that the caller's io_uring polls. */
  readonly workFd: number | undefined;
}

interface ActionResult {
  /** What the target did next, where it ran on or ended. */
  readonly event?: TargetEvent;
  /** Another checkpoint of it. */
  readonly checkpoint?: CheckpointResult;
}

const ADVICE = { cold: 20, pageout: 21 } as const;
// include/uapi/linux/userfaultfd.h: _IOR(0xAA, 1, struct uffdio_range).
const UFFDIO_UNREGISTER = 0x8010aa01;

/**
 * Does something while a checkpoint waits for its reader.
 *
 * @throws {AgentError} when the guest cannot do it
 */
export async function doAction(action: PlannedAction, context: ActionContext): Promise<ActionResult> {
  const { agent, pid } = context;
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
      await agent.poke(pid, action.address, Uint8Array.of(action.value ?? 0));
      return {};
    case "pageout":
    case "cold":
      await adviseProcess(agent, pid, action.do, action);
      return {};
    case "work":
      await agent.call("write", context.workFd ?? -1, new Uint8Array(BigUint64Array.of(1n).buffer), 8);
      return {};
    case "unlink":
      await agent.call("unlink", action.path);
      return {};
    case "rename":
      await agent.call("rename", action.path, action.newPath);
      return {};
    case "unregister":
      await unregister(context, action);
      return {};
  }
}

/** Words as the agent has them in memory, for a struct of longs or pointers. */
export function wordBytes({ info: { wordSize } }: GuestAgent, ...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(
    (wordSize === 8 ? BigUint64Array.from(values) : Uint32Array.from(values, Number)).buffer,
  );
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
  { agent, pid, userfaultfd = -1 }: ActionContext,
  { address, length }: PlannedAction,
): Promise<void> {
  const { result: pidfd } = await agent.call("pidfd_open", pid, 0);
  const { result: fd } = await agent.call("pidfd_getfd", pidfd, userfaultfd, 0);
  const range = new Uint8Array(BigUint64Array.of(address, BigInt(length)).buffer);
  await agent.call("ioctl", fd, UFFDIO_UNREGISTER, range);
  await agent.call("close", fd);
  await agent.call("close", pidfd);
}
