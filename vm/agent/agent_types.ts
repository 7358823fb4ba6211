// SPDX-License-Identifier: MIT
import type { ByteSink } from "./byte_channel.ts";

/** What the agent says of itself and its kernel. */
export interface GuestInfo {
  readonly arch: "x86_64" | "i386";
  /** The kernel's word size in bytes. */
  readonly wordSize: 4 | 8;
  readonly pageSize: number;
  /** The fields of uname(2). */
  readonly sysname: string;
  readonly release: string;
  readonly version: string;
  readonly machine: string;
  /** Number of the page frame that untouched private memory reads from; 0 when the kernel does not tell. */
  readonly zeroPageFrame: bigint;
  readonly cpus: number;
}

/** How the target is started. */
export interface SpawnOptions {
  /** `/target` by default. */
  path?: string;
  uid?: number;
  gid?: number;
  /** For personality(2); ADDR_NO_RANDOMIZE by default. */
  personality?: number;
}

/** How any program is started. */
export interface ExecOptions {
  /** Working directory; `/work` by default. */
  directory?: string;
  uid?: number;
  gid?: number;
  /** For personality(2); ADDR_NO_RANDOMIZE by default. */
  personality?: number;
  /** The whole environment; PATH and HOME alone by default. */
  env?: Readonly<Record<string, string>>;
}

/** What a target does next. */
export type TargetEvent =
  | {
    readonly kind: "stop";
    /**
     * The process that stopped, or lingers in place of it: the target, or a child that has become the
     * subject. The agent's name for it, whatever pid namespace it lives in.
     */
    readonly pid: number;
    readonly label: number;
    /** Address of the scratch memory. */
    readonly scratch: bigint;
    /** Address of the instruction after the system call that stopped it. */
    readonly resumeAddress: bigint;
  }
  | { readonly kind: "exit"; readonly pid: number; readonly code: number }
  | { readonly kind: "signal"; readonly pid: number; readonly signal: number };

/** How a process ended: with an exit status, or by a signal. */
export interface ProcessEnd {
  readonly code?: number;
  readonly signal?: number;
}

/**
 * A process that sleeps in a system call (`state` S, and the line of /proc/PID/syscall), or one that has
 * ended.
 */
export type QuietState =
  | { readonly state: "S"; readonly syscall: string }
  | ({ readonly state: "exited" } & ProcessEnd);

/** Registers, each block as ptrace(2) gives it to the agent. */
export interface RegisterBlobs {
  /** `struct user_regs_struct` of the guest's kernel: 27 or 17 words. */
  readonly general: Uint8Array;
  /** The regset NT_X86_XSTATE. */
  readonly xstate?: Uint8Array;
  /** The regset NT_PRFPREG, where the CPU has no XSAVE. */
  readonly fpregs?: Uint8Array;
  /** PTRACE_GETFPXREGS, where an i386 kernel has no PTRACE_GETREGSET. */
  readonly fpxregs?: Uint8Array;
  /** Debug registers 0 to 7, a word each. */
  readonly debug: Uint8Array;
  /** The three TLS slots of the GDT as `struct user_desc`, 16 bytes each. */
  readonly tls: Uint8Array;
}

/** How the system call under test is called, and what becomes of the image. */
export interface CheckpointOptions {
  /** Number of the system call; 390 by default. */
  nr?: number;
  pid: number;
  flags?: bigint;
  /**
   * Where the call writes to: a pipe to the host (the default), a file of the guest, a closed descriptor, or a
   * descriptor of the agent's own with the one, if any, at which its other end is read. The agent closes both
   * of these, and a descriptor without a reader never.
   */
  to?:
    | "pipe"
    | "none"
    | { readonly path: string; readonly openFlags?: number }
    | { readonly fd: number; readonly reader?: number | undefined };
  /** Who calls. */
  uid?: number;
  gid?: number;
  /** Size of the pipe in bytes; 1 MiB by default. */
  pipeBytes?: number;
  /** The reader goes away after so many bytes; the caller ignores SIGPIPE then. */
  cutAfter?: number;
  /**
   * Lets the n-th allocation, or copy from or to user space, of the caller fail, counted from the call on
   * (/proc/thread-self/fail-nth, Documentation/fault-injection); the kernel needs CONFIG_FAULT_INJECTION.
   */
  failNth?: number;
  /** Sends the caller a signal after so many bytes. `handled`: it has a handler for it, with SA_RESTART. */
  signalAfter?: { readonly bytes: number; readonly signal: number; readonly handled?: boolean };
  /** Reads no further than so many bytes and answers with `paused`; {@linkcode AgentSession.resume} goes on. */
  pauseAt?: number | undefined;
  /** How often the call is made, one after the other by the same caller. */
  times?: number | undefined;
  /** The caller's limit on the size of files it writes, in bytes (RLIMIT_FSIZE). */
  fileSize?: number | undefined;
  /** Whether the caller ignores SIGPIPE and SIGXFSZ. */
  ignoreSignals?: boolean | undefined;
  /** Every so many microseconds SIGALRM comes to the caller, which has a handler for it, with SA_RESTART. */
  alarmUs?: number | undefined;
  /**
   * Takes the image as it comes, instead of `image` in the result. The bytes are the sink's until its
   * promise is done.
   */
  sink?: ByteSink;
  deadlineMs?: number;
}

/** What the system call returned, and what it wrote. */
export interface CheckpointResult {
  /**
   * What the call returned: an id from 1 up, or a negative errno; -1 when a signal ended the caller first.
   */
  readonly result: bigint;
  /** The errno, or 0. */
  readonly errno: number;
  /** The signal that ended the caller. */
  readonly signal?: number;
  /** Set when the fault that was asked for by `failNth` came. */
  readonly faultCame?: true;
  /** Bytes that came through the pipe. */
  readonly length: number;
  /** These bytes, unless a sink took them. */
  readonly image?: Uint8Array;
  /** The guest's clock right before and after the call, in seconds since 1970. */
  readonly secondsBefore: bigint;
  readonly secondsAfter: bigint;
  /** Duration of the call. */
  readonly nanoseconds: bigint;
  /** A result of one of several calls that was another than the last one's. */
  readonly otherResult?: bigint;
  /** Set when the caller had not ended in the time that it was given, with nobody reading. */
  readonly isLate?: boolean;
  /** What write(2) returned for a byte at an address of the kernel, by the same caller after the call. */
  readonly probe?: bigint;
  /** Set instead of a result when the call is still under way. */
  readonly paused?: PausedCall;
}

/** A call that waits for its image to be read. */
export interface PausedCall {
  readonly handle: number;
  /** The pid of the caller, which sleeps in the call. */
  readonly caller: number;
}

/** How a paused call goes on. */
export interface ResumeOptions {
  readonly handle: number;
  /** Bytes of the whole image to read before the next pause; to the end by default. */
  readonly pauseAt?: number | undefined;
  /** The reader goes away after so many bytes of the whole image. */
  readonly cutAfter?: number | undefined;
  /** Waits for the end of the caller before it reads on, for so many milliseconds. */
  readonly waitMs?: number | undefined;
}

/** An argument of a system call of the agent's: a number, a string, or bytes that the kernel may write to. */
export type SyscallArgument = number | bigint | string | Uint8Array;

/** A program that runs in the guest. */
export interface StartedProgram {
  readonly pid: number;
  /** Paths of the files in the guest that take its output. */
  readonly stdout: string;
  readonly stderr: string;
}

/** One page in the blob `pages` of {@linkcode AgentSession.observe}. */
export interface ObservedPage {
  readonly address: bigint;
  /** The entry of /proc/PID/pagemap. */
  readonly entry: bigint;
}

/** What to mount. */
export interface MountOptions {
  type: string;
  directory: string;
  /** Device; the type's name by default. */
  source?: string;
  /** For mount(2). */
  flags?: number;
  data?: string;
}
