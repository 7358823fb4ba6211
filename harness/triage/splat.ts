// SPDX-License-Identifier: MIT

/** What sort of complaint the kernel made. `other` is one that begins like a complaint and is in no table. */
export type SplatKind =
  | "KASAN"
  | "KCSAN"
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

const SYMBOL = "([A-Za-z_][\\w.$]*)\\+0x([0-9a-f]{1,8})\\/0x([0-9a-f]{1,8})(?: \\[(\\w+)[^\\]]*\\])?";
/** A line of a stack: `[<address>] ? foo+0x1/0x2 [module]`; lockdep and kmemleak indent theirs. */
const ENTRY = new RegExp(`^\\s*(?:\\[<[0-9a-fx]*>\\] *)?(\\? )?${SYMBOL}\\s*$`);
/** Lines that say where the processor stood. */
const PLACE = new RegExp(
  "^(?:RIP: [0-9a-f]{4}:|EIP: |RIP: |WARNING: .* at |BUG: K(?:AS|C|MS)AN: .* in |BUG: KFENCE: .* in )" +
    `(?:\\S+:\\d+ )?${SYMBOL}`,
);
/** `at rIP: 0xffffffff8104d2b4 (native_read_msr+0x4/0x40)`. */
const MSR = new RegExp(`^unchecked MSR access error: .* rIP: 0x[0-9a-f]+ \\(${SYMBOL}\\)`);

/** The stack entry or place in the code that a line of a report shows; undefined for any other line. */
export function stackFrame(text: string): StackFrame | undefined {
  const entry = ENTRY.exec(text);
  if (entry) return frameOf(entry.slice(2), { reliable: entry[1] === undefined, exact: false });
  const place = PLACE.exec(text) ?? MSR.exec(text);
  return place ? frameOf(place.slice(1), { reliable: true, exact: true }) : undefined;
}

function frameOf(
  [name = "", offset = "", size = "", module]: (string | undefined)[],
  kind: Pick<StackFrame, "reliable" | "exact">,
): StackFrame {
  return {
    function: name,
    offset: parseInt(offset, 16),
    size: parseInt(size, 16),
    ...(module === undefined ? {} : { module }),
    ...kind,
  };
}

/** A function's name as it stands in the source: without what the compiler adds to parts and copies of it. */
export function plainFunction(name: string): string {
  return name.replace(/(\.(isra|constprop|part|cold|llvm|lto_priv|localalias)(\.\d+)?)+(\.\d+)*$/, "");
}

/** Functions of the patch: its own names, and the system call's entries as SYSCALL_DEFINE makes them. */
const OWN = /^(cr_|do_checkpoint\b|(__\w+_)?sys_checkpoint\b)/;

/** Whether a function of the kernel, with or without an offset behind it, is one of the patch. */
export function isOwnFunction(name: string): boolean {
  return OWN.test(name);
}
