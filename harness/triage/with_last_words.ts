// SPDX-License-Identifier: MIT

import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import type { VirtualMachine } from "../../vm/qemu/virtual_machine.ts";
import { awaitLastWords } from "./await_last_words.ts";

/**
 * For a guest that was lost before it said hello: waits for its kernel's last words and gives the error with
 * the whole console. Other errors stay as they are.
 */
export async function withLastWords(
  error: unknown,
  machine: Pick<VirtualMachine, "console" | "exited">,
): Promise<unknown> {
  if (!(error instanceof GuestLostError)) return error;
  const { console } = machine;
  await awaitLastWords({
    consoleText: (from) => console.text(from),
    get consoleGrown() {
      return console.grown;
    },
    ended: machine.exited,
  }, 0);
  const { reason, awaited, detail, argv } = error;
  return new GuestLostError({
    ...{ reason, awaited, detail, argv },
    consoleTail: console.tail(),
    consoleText: console.text(),
  });
}
