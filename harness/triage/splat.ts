// SPDX-License-Identifier: MIT

/** What sort of complaint the kernel made. `other` is one that begins like a complaint and is in no table. */
export type SplatKind =
  | "KASAN"
  | "UBSAN"
  | "oops"
  | "double-fault"
  | "stack-overflow"
  | "BUG"
  | "WARN"
  | "refcount"
  | "ODEBUG"
  | "list-corruption"
  | "slab-corruption"
  | "lockdep"
  | "sleeping-in-atomic"
  | "scheduling-while-atomic"
  | "hung-task"
  | "rcu-stall"
  | "soft-lockup"
  | "hard-lockup"
  | "bad-page"
  | "memory-leak"
  | "page-allocation-failure"
  | "oom-kill"
  | "unchecked-msr"
  | "panic"
  | "other";

/** One entry of a stack that the kernel printed: `function+0xoffset/0xsize`. */
export interface StackFrame {
  /** The symbol as printed, with the compiler's suffixes. */
  readonly function: string;
  readonly offset: number;
  readonly size: number;
  readonly module?: string;
  /** False for what was found on the stack without being part of the call chain (`? foo+0x1/0x2`). */
  readonly reliable: boolean;
  /** True for the instruction itself (RIP, WARNING at), false for a return address. */
  readonly exact: boolean;
}

/** One complaint of the kernel: its report from the first line to the last. */
export interface Splat {
  readonly kind: SplatKind;
  /** One line that names the bug, free of addresses, pids, CPUs and times. */
  readonly title: string;
  /** 16 hexadecimal digits, the same for each report of the same bug. */
  readonly fingerprint: string;
  /** The lines of the report as they came, without NUL bytes and carriage returns. */
  readonly lines: readonly string[];
  /** The stack that the title was taken from, innermost first. */
  readonly frames: readonly StackFrame[];
  /** Whether its end was seen; false for one that may still go on. */
  readonly isComplete: boolean;
}
