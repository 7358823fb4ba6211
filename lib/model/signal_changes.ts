// SPDX-License-Identifier: MIT

import { signalBit, SIGNALS } from "../abi/signals.ts";
import { change, cutIn, flip, type ImageChange, invalid, set, setFrom } from "./image_change.ts";

/** Of the first action, and of the second. */
const NEEDS = "signals";
const WORD = 1n << 32n;
const NO_MASK = "nobody can block that";

/** Changes of what a process does about signals. */
export const SIGNAL_CHANGES = {
  "SIGNALS that is not there": change("EPIPE", "it ends behind the auxiliary vector", cutIn("SIGNALS")),
  "SIGNALS missing": invalid("it says nothing of signals", flip("SIGNALS", "type", 0x100n)),
  "SIGNALS.parent": invalid("the mask is another process's", flip("SIGNALS", "parent", 1n)),
  "SIGNALS.len": invalid("a record is longer than it is", flip("SIGNALS", "len", 0x40n)),
  "SIGNALS.blocked, SIGKILL": invalid(NO_MASK, flip("SIGNALS", "blocked", signalBit(SIGNALS.SIGKILL))),
  "SIGNALS.blocked, SIGSTOP": invalid(NO_MASK, flip("SIGNALS", "blocked", signalBit(SIGNALS.SIGSTOP))),
  "SIGNALS.sas_ss_flags": invalid("a stack has no such flag", flip("SIGNALS", "sas_ss_flags", 1n)),
  "SIGNALS.sas_ss_flags, SS_DISABLE": invalid("there is none", flip("SIGNALS", "sas_ss_flags", 2n)),
  "SIGNALS.sas_ss_size": invalid("the stack is too small", set("SIGNALS", "sas_ss_size", 2047n), NEEDS),
  "SIGNALS.sas_ss_size, wide": invalid(
    "a size has 32 bits",
    flip("SIGNALS", "sas_ss_size", WORD),
    "a kernel of 32 bits",
  ),
  "SIGNALS.sas_ss_sp, wide": invalid(
    "addresses have 32 bits",
    flip("SIGNALS", "sas_ss_sp", WORD),
    "a kernel of 32 bits",
  ),
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
  "SIGACTION.signr, 0": invalid("no signal has the number 0", set("SIGACTION", "signr", 0n), NEEDS),
  "SIGACTION.signr, beyond": invalid("no signal has the number 65", set("SIGACTION", "signr", 65n, 1), NEEDS),
  "SIGACTION.signr, wide": invalid(
    "no signal has such a number",
    flip("SIGACTION", "signr", 1n << 31n, 1),
    NEEDS,
  ),
  "SIGACTION.signr, SIGKILL": invalid(
    "nobody can catch it",
    set("SIGACTION", "signr", BigInt(SIGNALS.SIGKILL)),
    NEEDS,
  ),
  "SIGACTION.signr, SIGSTOP": invalid(
    "nobody can catch it",
    set("SIGACTION", "signr", BigInt(SIGNALS.SIGSTOP), 1),
    NEEDS,
  ),
  "SIGACTION.signr, twice": invalid("a signal has two actions", (image) => {
    image.set("SIGACTION", "signr", image.get("SIGACTION", "signr", 1), 0);
  }, NEEDS),
  "SIGACTION.sa_mask, SIGKILL": invalid(
    NO_MASK,
    flip("SIGACTION", "sa_mask", signalBit(SIGNALS.SIGKILL)),
    NEEDS,
  ),
  "SIGACTION.sa_mask, SIGSTOP": invalid(
    NO_MASK,
    flip("SIGACTION", "sa_mask", signalBit(SIGNALS.SIGSTOP), 1),
    NEEDS,
  ),
  "SIGACTION.sa_flags": invalid(
    "the kernel keeps no such flag of an action",
    flip("SIGACTION", "sa_flags", 0x400n),
    NEEDS,
  ),
  "SIGACTION.sa_flags, SA_IMMUTABLE": invalid(
    "the flag is the kernel's own",
    flip("SIGACTION", "sa_flags", 0x80_0000n),
    NEEDS,
  ),
  "SIGACTION.sa_handler, wide": invalid(
    "addresses have 32 bits",
    flip("SIGACTION", "sa_handler", WORD),
    "a kernel of 32 bits",
  ),
  "SIGACTION.sa_restorer, wide": invalid(
    "addresses have 32 bits",
    flip("SIGACTION", "sa_restorer", WORD),
    "a kernel of 32 bits",
  ),
  "SIGACTION that is the default": invalid("the default needs no record", (image) => {
    for (const field of ["sa_handler", "sa_flags", "sa_restorer", "sa_mask"]) {
      image.set("SIGACTION", field, 0n);
    }
  }, NEEDS),
  "SIGACTION._padding": invalid("padding is not 0", flip("SIGACTION", "_padding", 1n), NEEDS),
} as const satisfies Readonly<Record<string, ImageChange>>;
