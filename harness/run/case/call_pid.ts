// SPDX-License-Identifier: MIT

import type { CallPid } from "../../../lib/model/call.ts";
import type { GuestAgent } from "../guest/guest.ts";

/** What is known where a call is made. */
export interface PidContext {
  readonly checkpointNr: number;
  readonly pid: number;
  /** The id of a thread of the target that does not lead it. */
  readonly thread: number | undefined;
}

/** No process has this pid (PID_MAX_LIMIT). */
const NOBODY = 4_194_304;
const INIT = 1;
const KTHREADD = 2;

/** The pid that a call is given. */
export async function resolvePid(
  agent: GuestAgent,
  pid: CallPid,
  { pid: target, thread, checkpointNr: nr }: PidContext,
): Promise<number> {
  switch (pid) {
    case "target":
      return target;
    case "self":
      return 0;
    case "init":
      return INIT;
    case "kthread":
      return KTHREADD;
    case "thread":
      if (thread === undefined) throw new RangeError("the target has told no id of a thread");
      return thread;
    case "zombie":
      return await agent.zombie();
    case "reaped":
      // The agent has waited for whoever made this call.
      return (await agent.checkpoint({ nr, pid: INIT, flags: 1 })).caller;
    case "none":
      return NOBODY;
    default:
      return pid;
  }
}
