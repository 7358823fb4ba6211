// SPDX-License-Identifier: MIT

import { SA, signalBit, SIGNALS } from "../abi/signals.ts";
import { change, cutIn, flip, type ImageChange, invalid, set, setFrom } from "./image_change.ts";

/** A stack for signals, and two actions. */
const NEEDS = "signals";

/** Bits that no mask has. */
function blocks(record: "SIGNALS" | "SIGACTION", field: string, signal: number, which = 0): ImageChange {
  const needs = record === "SIGACTION" ? NEEDS : undefined;
  return invalid("nobody can block that", flip(record, field, signalBit(signal), which), needs);
}

/** More than a word of the kernel. */
function wide(record: "SIGNALS" | "SIGACTION", field: string): ImageChange {
  return invalid("a word has 32 bits", flip(record, field, 1n << 32n), "a kernel of 32 bits");
}

/** Another number of the first action, or of the second. */
function numbered(why: string, number: number, which = 0): ImageChange {
  return invalid(why, set("SIGACTION", "signr", BigInt(number), which), NEEDS);
}

/** A flag that no action has since Linux 5.11. */
function flagged(why: string, flag: bigint): ImageChange {
  return invalid(why, flip("SIGACTION", "sa_flags", flag), NEEDS);
}

/** The first action is the default, but for what the kernel itself says in its flags. */
function defaulted(flags: bigint): ImageChange {
  return invalid("the default needs no record", (image) => {
    for (const field of ["sa_handler", "sa_restorer", "sa_mask"]) image.set("SIGACTION", field, 0n);
    image.set("SIGACTION", "sa_flags", flags);
  }, NEEDS);
}

/** Changes of what a process does about signals. */
export const SIGNAL_CHANGES = {
  "SIGNALS that is not there": change("EPIPE", "it ends behind the auxiliary vector", cutIn("SIGNALS")),
  "SIGNALS missing": invalid("it says nothing of signals", flip("SIGNALS", "type", 0x100n)),
  "SIGNALS.parent": invalid("the mask is another process's", flip("SIGNALS", "parent", 1n)),
  "SIGNALS.len": invalid("a record is longer than it is", flip("SIGNALS", "len", 0x40n)),
  "SIGNALS.blocked, SIGKILL": blocks("SIGNALS", "blocked", SIGNALS.SIGKILL),
  "SIGNALS.blocked, SIGSTOP": blocks("SIGNALS", "blocked", SIGNALS.SIGSTOP),
  "SIGNALS.sas_ss_flags": invalid("a stack has no such flag", flip("SIGNALS", "sas_ss_flags", 1n)),
  "SIGNALS.sas_ss_flags, SS_DISABLE": invalid("there is none", flip("SIGNALS", "sas_ss_flags", 2n)),
  "SIGNALS.sas_ss_size": invalid("the stack is too small", set("SIGNALS", "sas_ss_size", 2047n), NEEDS),
  "SIGNALS.sas_ss_size, wide": wide("SIGNALS", "sas_ss_size"),
  "SIGNALS.sas_ss_sp, wide": wide("SIGNALS", "sas_ss_sp"),
  "SIGNALS.nactions, less": invalid(
    "an action is where the end should be",
    setFrom("SIGNALS", "nactions", "nactions", -1n),
    NEEDS,
  ),
  "SIGNALS.nactions, more": invalid(
    "the end is where an action should be",
    setFrom("SIGNALS", "nactions", "nactions", 1n),
  ),
  "SIGACTION.parent": invalid("the action is another process's", flip("SIGACTION", "parent", 1n), NEEDS),
  "SIGACTION.len": invalid("a record is longer than it is", flip("SIGACTION", "len", 0x40n), NEEDS),
  "SIGACTION.signr, 0": numbered("no signal has the number 0", 0),
  "SIGACTION.signr, beyond": numbered("no signal has the number 65", 65, 1),
  "SIGACTION.signr, wide": numbered("no signal has such a number", 2 ** 31 + 12, 1),
  "SIGACTION.signr, SIGKILL": numbered("nobody can catch it", SIGNALS.SIGKILL),
  "SIGACTION.signr, SIGSTOP": numbered("nobody can catch it", SIGNALS.SIGSTOP, 1),
  "SIGACTION.signr, twice": invalid("a signal has two actions", (image) => {
    image.set("SIGACTION", "signr", image.get("SIGACTION", "signr", 1), 0);
  }, NEEDS),
  "SIGACTION.sa_mask, SIGKILL": blocks("SIGACTION", "sa_mask", SIGNALS.SIGKILL),
  "SIGACTION.sa_mask, SIGSTOP": blocks("SIGACTION", "sa_mask", SIGNALS.SIGSTOP, 1),
  "SIGACTION.sa_flags": flagged("the kernel keeps no such flag of an action", 0x400n),
  "SIGACTION.sa_flags, SA_IMMUTABLE": flagged("the flag is the kernel's own", 0x80_0000n),
  "SIGACTION.sa_handler, wide": wide("SIGACTION", "sa_handler"),
  "SIGACTION.sa_restorer, wide": wide("SIGACTION", "sa_restorer"),
  "SIGACTION that is the default": defaulted(0n),
  "SIGACTION that is the default, of 32 bits": defaulted(SA.IA32_ABI),
  "SIGACTION._padding": invalid("padding is not 0", flip("SIGACTION", "_padding", 1n), NEEDS),
} as const satisfies Readonly<Record<string, ImageChange>>;
