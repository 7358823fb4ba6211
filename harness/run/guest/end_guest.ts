// SPDX-License-Identifier: MIT

import { AgentError } from "../../../vm/agent/agent_session.ts";
import { GuestLostError } from "../../../vm/qemu/guest_lost_error.ts";
import type { Guest } from "./guest.ts";

/**
 * Has something done with each guest before it ends. A guest that was lost by then can tell nothing more:
 * that is no error of its own.
 */
export function beforeGuestEnds(
  startGuest: () => Promise<Guest>,
  work: (guest: Guest) => Promise<void>,
): () => Promise<Guest> {
  return async () => {
    const guest = await startGuest();
    const end = guest[Symbol.asyncDispose].bind(guest);
    guest[Symbol.asyncDispose] = async () => {
      try {
        await work(guest);
      } catch (error) {
        if (!(error instanceof GuestLostError || error instanceof AgentError)) throw error;
      } finally {
        await end();
      }
    };
    return guest;
  };
}
