// SPDX-License-Identifier: MIT

/** An argument of an op: a value, an offset in the target's scratch memory, or the kept result of an earlier op. */
export type OpArgument = bigint | { readonly scratch: number } | { readonly slot: number };

/**
 * What a busy target can do in place of a stop: it computes, sleeps in a system call, waits in vfork(2), is frozen in
 * the midst of a system call by the freezer of cgroup v1; or the thread that leads it ends, and another one waits to go
 * on with the steps.
 */
export const BUSY = ["running", "sleeping", "vfork", "frozen", "exited leader"] as const;

/** One of {@linkcode BUSY}. */
export type Busy = (typeof BUSY)[number];

/**
 * What a target can start in its address space: a thread, a process, one whose first thread has ended, or a thread that
 * makes the call `nr` with pid 0 and ends.
 */
export const THREADS = ["thread", "process", "leaderless process", "call"] as const;

/**
 * One operation of the target program (`vm/guest/target/target.c`). An op with `keep` stores its result in that slot
 * (0 to 63). The architecture decides the system call numbers; the target knows none.
 */
export type TargetOp =
  | { op: "syscall"; nr: number; args: readonly OpArgument[]; keep?: number }
  | { op: "fill"; address: bigint; pages: number; seed: number; stride: number }
  | { op: "read"; address: bigint; pages: number; stride: number }
  | { op: "zero"; address: bigint; length: number }
  | { op: "poke"; address: bigint; size: 1 | 2 | 4 | 8; value: bigint }
  | { op: "data"; offset: number; bytes: Uint8Array }
  | { op: "fork"; mode: "child" | "parent" | "run"; id: number; exitSignal?: number }
  | { op: "join"; id: number }
  | { op: "stop"; label: number; killNr: number; registers?: number; busy?: Busy }
  | { op: "exit"; code: number }
  | { op: "report"; address: OpArgument; length: number }
  | { op: "lar"; selector: number }
  | { op: "lsl"; selector: number }
  | { op: "segload"; selector: number; register: number; offset: number; access: boolean }
  | { op: "thread"; kind: typeof THREADS[number]; nr?: number }
  | { op: "check"; address: bigint; pages: number; seed: number; stride: number }
  | { op: "hash"; address: OpArgument; length: number }
  | { op: "getpid"; keep?: number }
  | { op: "syscall32"; nr: number; args: readonly OpArgument[]; keep?: number }
  | { op: "auxv"; type: number; plus?: bigint; keep?: number }
  | { op: "exec" }
  | { op: "vdso" }
  | { op: "wrbase"; register: number; base: bigint }
  | { op: "core" }
  | { op: "switch"; times: number };

/**
 * What a result tells: the target's pid as it knows it, its program break, the id of a thread, the descriptor of a
 * userfaultfd, what its own checkpoint returned.
 */
export type ResultRole = "pid" | "break" | "thread" | "userfaultfd" | "checkpoint";

/** What an op that yields a result must yield, in the order of the program. */
export interface ExpectedResult {
  readonly what: string;
  /** The exact result; undefined where any will do. */
  readonly expected?: bigint | undefined;
  /** Another result that will do: QEMU's emulation does not look at segment limits. */
  readonly orElse?: bigint | undefined;
  /** The bits of the result that count; all of them when absent. */
  readonly mask?: bigint | undefined;
  /** For `report`: the exact bytes. */
  readonly bytes?: Uint8Array | undefined;
  /** What it is, for those who look for it. */
  readonly role?: ResultRole | undefined;
  /** Whether the item is a `report` (length and bytes) rather than one number. */
  readonly report: boolean;
}
