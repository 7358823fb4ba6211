// SPDX-License-Identifier: MIT
import { hex } from "../bytes.ts";

/** Signal numbers of x86 (arch/x86/include/uapi/asm/signal.h). */
export const SIGNALS = {
  ...{ SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGILL: 4, SIGTRAP: 5, SIGABRT: 6 },
  ...{ SIGBUS: 7, SIGFPE: 8, SIGKILL: 9, SIGUSR1: 10, SIGSEGV: 11, SIGUSR2: 12 },
  ...{ SIGPIPE: 13, SIGALRM: 14, SIGTERM: 15, SIGSTKFLT: 16, SIGCHLD: 17, SIGCONT: 18 },
  ...{ SIGSTOP: 19, SIGTSTP: 20, SIGTTIN: 21, SIGTTOU: 22, SIGURG: 23, SIGXCPU: 24 },
  ...{ SIGXFSZ: 25, SIGVTALRM: 26, SIGPROF: 27, SIGWINCH: 28, SIGIO: 29, SIGPWR: 30 },
  ...{ SIGSYS: 31 },
} as const;

/** Signals have the numbers 1 to 64 (_NSIG). */
export const LAST_SIGNAL = 64;

/** The bits of SIGKILL and SIGSTOP in a mask: no program can block them, or say what they do. */
export const UNBLOCKABLE: bigint = signalBit(SIGNALS.SIGKILL) | signalBit(SIGNALS.SIGSTOP);

/** sa_handler of an action that is no function of the program. */
export const [SIG_DFL, SIG_IGN] = [0n, 1n];

/** sa_flags (include/uapi/asm-generic/signal-defs.h and arch/x86/include/asm/signal.h: the kernel's own IA32_ABI). */
export const SA = {
  ...{ NOCLDSTOP: 1n, NOCLDWAIT: 2n, SIGINFO: 4n, EXPOSE_TAGBITS: 0x800n, IA32_ABI: 0x200_0000n },
  ...{ RESTORER: 0x400_0000n, ONSTACK: 0x800_0000n, RESTART: 0x1000_0000n, NODEFER: 0x4000_0000n },
  RESETHAND: 0x8000_0000n,
} as const;

/** sas_ss_flags (include/uapi/linux/signal.h), and the smallest stack that sigaltstack(2) takes. */
export const SS = { DISABLE: 2, AUTODISARM: 0x8000_0000 } as const;
/** Bytes: see {@linkcode SS}. */
export const MINSIGSTKSZ = 2048n;

/** The bit of a signal in a mask. */
export function signalBit(number: number): bigint {
  return 1n << BigInt(number - 1);
}

/** The signals of a mask by their names; of most, those that it lacks of all that can be blocked. */
export function maskText(mask: bigint): string {
  const all = Array.from({ length: LAST_SIGNAL }, (_, i) => i + 1);
  const named = (bits: bigint) => all.filter((number) => (bits & signalBit(number)) !== 0n).map(signalName);
  const [set, lacking] = [named(mask), named(~mask & ~UNBLOCKABLE)];
  if (set.length <= lacking.length) return set.join(" ") || "none";
  return lacking.length === 0 ? "all" : `all but ${lacking.join(" ")}`;
}

/** sa_flags by their names, what has none in hexadecimal. */
export function saFlagText(flags: bigint): string {
  const known = Object.entries(SA).filter(([, bit]) => (flags & bit) !== 0n);
  const rest = known.reduce((left, [, bit]) => left & ~bit, flags);
  return [...known.map(([name]) => `SA_${name}`), ...rest === 0n ? [] : [hex(rest)]].join(" ") || "0";
}

/** The name of a signal by its number; `signal 40` for one that has no name. */
export function signalName(number: number): string {
  return Object.entries(SIGNALS).find(([, one]) => one === number)?.[0] ?? `signal ${number}`;
}
