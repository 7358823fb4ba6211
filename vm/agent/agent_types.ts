// SPDX-License-Identifier: MIT
import type { RaceScenario } from "../../lib/model/scenario.ts";
import { type FieldsOf, type FieldSpec, parseLine, type ProtocolLine, readFields } from "./agent_protocol.ts";
import type { ByteSink } from "./byte_channel.ts";

const PROTOCOL = 2;

// Options and answers have the same names here, on the wire and in the agent (see `fieldsOf()` and `readFields()`).

/** The agent's first line. */
const HELLO = {
  protocol: "number",
  arch: "text",
  /** The word size of agent and kernel in bytes. */
  wordSize: "number",
  /** Fields of uname(2). */
  release: "text",
  version: "text",
  machine: "text",
  /** Number of the page frame that untouched private memory reads from; 0 when the kernel does not tell. */
  zeroPageFrame: "bigint",
} as const satisfies FieldSpec;

/** What the agent says of itself and its kernel. */
export type GuestInfo = Omit<FieldsOf<typeof HELLO>, "protocol" | "arch" | "wordSize"> & {
  readonly arch: "x86_64" | "i386";
  readonly wordSize: 4 | 8;
};

/** How the target is started. */
export interface SpawnOptions {
  /** `/target` by default. */
  path?: string;
  uid?: number;
  gid?: number;
}

/** How any program is started. */
export interface ExecOptions {
  /** The whole environment; PATH and HOME alone by default. */
  env?: Readonly<Record<string, string>> | undefined;
  /** Where it starts; `/work` by default. */
  directory?: string | undefined;
  /** A file of the guest that its standard input begins with. */
  input?: string | undefined;
}

/** What a target can do next, and what the agent says of it. */
const EVENTS = {
  stop: {
    /**
     * The process that stopped, or is busy in place of it: the target, or a child that has become the subject. The
     * agent's name for it, whatever pid namespace it lives in.
     */
    pid: "number",
    label: "number",
    scratch: "bigint",
    /** Address of the instruction after the system call that stopped it. */
    resumeAddress: "bigint",
  },
  exit: { pid: "number", code: "number" },
  signal: { pid: "number", signal: "number" },
} as const satisfies Record<string, FieldSpec>;

type Events = typeof EVENTS;
/** What a target does next. */
export type TargetEvent = { [K in keyof Events]: { readonly kind: K } & FieldsOf<Events[K]> }[keyof Events];

/** A process that sleeps in a system call, or one that has ended: with an exit status, or by a signal. */
export const QUIET_STATE = { state: "text", code: "number?", signal: "number?" } as const satisfies FieldSpec;
/** What {@linkcode QUIET_STATE} describes. */
export type QuietState = Omit<FieldsOf<typeof QUIET_STATE>, "state"> & {
  readonly state: "S" | "R" | "exited";
};

/** Where a program runs, and the paths of the files in the guest that take its output. */
export const STARTED = { pid: "number", stdout: "text", stderr: "text" } as const satisfies FieldSpec;
/** A program that runs in the guest. */
export type StartedProgram = FieldsOf<typeof STARTED>;

/** How a tracer stops a process: PTRACE_INTERRUPT, PTRACE_ATTACH, that without a wait, or one instruction later. */
export type AttachMethod = "seize" | "attach" | "unread" | "unread event" | "singlestep";

/** How the system call under test is called, and what becomes of the image. */
export interface CheckpointOptions {
  /** Number of the system call; 390 by default. */
  nr?: number;
  pid: number;
  flags?: number | bigint;
  /**
   * Where the call writes to, in place of a pipe to the host: a descriptor of the agent's own, or `none`: one that is
   * not open. The agent closes one that has a reader, and another never.
   */
  fd?: number | "none" | undefined;
  /** The descriptor at which the other end of `fd` is read. The agent closes it. */
  reader?: number | undefined;
  /** Who calls. */
  uid?: number;
  /** Effective user id; `uid` when not given. */
  euid?: number;
  gid?: number;
  /** How often the call is made, one after the other by the same caller. */
  times?: number;
  /** Whether the caller ignores SIGPIPE and SIGXFSZ. */
  signals?: "ignored" | "fatal";
  /** Every so many microseconds SIGALRM comes to the caller, which has a handler for it, with SA_RESTART. */
  alarm?: number | undefined;
  /** RLIMIT_FSIZE of the caller, in bytes. */
  rlimitFsize?: number | undefined;
  /** A signal for which the caller has a handler, with SA_RESTART. */
  handledSignal?: number | undefined;
  /** It comes as soon as so many bytes have been read, before the caller runs on; 0: with its first write. */
  signalAt?: number | undefined;
  /** A descriptor of the agent's: the caller is left work by its io_uring each time that it can be read. */
  workFd?: number | undefined;
  /**
   * Lets the n-th allocation, or copy from or to user space, of the caller fail, counted from the call on
   * (/proc/thread-self/fail-nth, Documentation/fault-injection); the kernel needs CONFIG_FAULT_INJECTION.
   */
  failNth?: number;
  /** Reads no further than so many bytes and answers with `paused`; {@linkcode AgentSession.resume} goes on. */
  pauseAt?: number | undefined;
  /**
   * Takes the image as it comes, instead of `image` in the result. The bytes are the sink's until its
   * promise is done.
   */
  sink?: ByteSink | undefined;
  deadlineMs?: number | undefined;
}

/** What the agent says of a call that is over. */
const CHECKPOINT = {
  /** The pid of the caller, which nobody has any more. */
  caller: "number",
  /** What the call returned: an id from 1 up, or a negative errno; -1 when a signal ended the caller first. */
  result: "bigint",
  signal: "number?",
  /** Bytes that came through the pipe. */
  length: "number",
  /** The guest's clock right before and after the call, in seconds since 1970. */
  secondsBefore: "bigint",
  secondsAfter: "bigint",
  nanoseconds: "bigint",
  /** Set when the fault that was asked for by `failNth` came. */
  faultCame: "flag?",
  /** A result of one of several calls that was another than the last one's. */
  otherResult: "bigint?",
  /** Set when the caller had not ended in the time that it was given, with nobody reading. */
  isLate: "flag?",
  /** What write(2) returned for a byte at an address of the kernel, by the same caller after the call. */
  probe: "bigint?",
} as const satisfies FieldSpec;

/** What the agent says of a call that waits for its image to be read. */
const PAUSED = { paused: "number", caller: "number", length: "number" } as const satisfies FieldSpec;

/** What the system call returned, and what it wrote. */
export type CheckpointResult = FieldsOf<typeof CHECKPOINT> & {
  /** The errno, or 0. */
  readonly errno: number;
  /** The image, unless a sink took it. */
  readonly image?: Uint8Array;
  /** The id that the last successful call before this one returned in this guest; 0: none. */
  readonly previousId: number;
  /** Set instead of a result when the call is still under way. */
  readonly paused?: PausedCall;
};

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
  /** 1: the reader goes away. */
  readonly closeReader?: 1 | undefined;
  /** Waits for the end of the caller before it reads on, for so many milliseconds. */
  readonly waitMs?: number | undefined;
}

/** How a process is restarted. */
export interface RestartOptions extends Pick<ExecOptions, "directory" | "input"> {
  /**
   * The target that was saved: it ends here, and the new process has its descriptors. By default it has those of a
   * program.
   */
  readonly pid?: number | undefined;
  /** A file of the guest that holds the image. */
  readonly image: string;
  /** What restart(2) reads from: that file by default, or a pipe of 4 KiB or a socket, which another process fills. */
  readonly how?: "file" | "pipe" | "socket" | undefined;
  /** What the caller does before, and what it passes: words of vm/guest/target/restart.c. */
  readonly what?: string | undefined;
  /** Set where the process stops by itself, as RESTART_STOPPED says. */
  readonly flags?: 0 | 1 | undefined;
  /** Whether the process stays in its tracer's stop at the end of the call, until it is detached from. */
  readonly traced?: 0 | 1 | undefined;
  /** Whether nobody traces or stops the caller: how its call has ended is not known then. */
  readonly runs?: 0 | 1 | undefined;
  /** Whether the target is left as it is where restart(2) refuses its image. */
  readonly keep?: 0 | 1 | undefined;
  /** What calls restart(2): `/target` by default. */
  readonly path?: string;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Longest wait for the end of the call, in milliseconds. */
  readonly deadlineMs?: number;
}

/**
 * What the agent says of it; `result` is 0 where the process is the one of the image now, a negative errno, or, where
 * it died, what {@linkcode RESTART_DIED} says; `changed` is 1 where it was refused and is not as it was; `position` is
 * that of the image's file, or negative where it has none.
 */
export const RESTARTED = {
  ...STARTED,
  ...{ result: "bigint", changed: "number", position: "bigint" },
} as const satisfies FieldSpec;

/**
 * From what somebody tries to restart, and what others do meanwhile: signals come, the caller is killed, the file
 * changes; or two restart at once, from one open file where the number is odd.
 */
const RESTART_WAYS = ["file", "pipe", "fault", "signalled", "killed", "written", "twice"] as const;

/** One thing that is wrong with an image that somebody tries to restart from, or what happens meanwhile. */
export interface RestartTry {
  /**
   * The byte in which bits are flipped, the length of an image that ends early, which allocation fails, or a number
   * from which follows when others do something.
   */
  readonly offset: number;
  /** The bits; 0 for what is no flip: an image that ends early comes by a pipe. */
  readonly mask: number;
  readonly how: (typeof RESTART_WAYS)[number];
}

/** Tries as the agent takes them, a word each. */
export function encodeTries(tries: readonly RestartTry[]): Uint8Array<ArrayBuffer> {
  const words = tries.map(({ offset, mask, how }) =>
    BigInt(offset) | BigInt(mask) << 48n | BigInt(RESTART_WAYS.indexOf(how)) << 56n
  );
  return new Uint8Array(BigUint64Array.from(words).buffer);
}

/**
 * Results of a {@linkcode RestartTry} beside 0 and a negative errno: the caller died (the signal is added), was
 * changed though it was refused, or was restarted without the allocation that was to fail.
 */
export const [RESTART_DIED, RESTART_CHANGED, RESTART_UNTOUCHED] = [1000, 2000, 3000] as const;

/** A race: so many calls, what happens meanwhile (vm/guest/agent/race.c), and which memory is paged out. */
export interface RaceOptions {
  readonly nr: number;
  readonly pid: number;
  readonly how: RaceScenario["meanwhile"];
  readonly times: number;
  /** 1: caller and target share a processor. */
  readonly sharesProcessor?: 1 | undefined;
  readonly offset?: bigint;
  readonly length?: bigint;
  readonly deadlineMs?: number;
}

/** An argument of a system call of the agent's: a number, a string, or bytes that the kernel may write to. */
export type SyscallArgument = number | bigint | string | Uint8Array;

/** What to mount. */
export interface MountOptions {
  type: string;
  directory: string;
  /** Device; the type's name by default. */
  source?: string;
  data?: string;
}

/** Reads the agent's first line. Like its neighbours it throws SyntaxError. */
export function parseHello(text: string): GuestInfo {
  const line = parseLine(text);
  if (line.word !== "hello") {
    throw new SyntaxError(`expected hello, found ${JSON.stringify(text.slice(0, 80))}`);
  }
  const { protocol, arch, wordSize, ...info } = readFields(line, HELLO);
  if (protocol !== PROTOCOL) throw new SyntaxError(`expected protocol ${PROTOCOL}, found ${protocol}`);
  if (arch !== "x86_64" && arch !== "i386") {
    throw new SyntaxError(`expected arch x86_64 or i386, found ${arch}`);
  }
  return { arch, wordSize: wordSize === 8 ? 8 : 4, ...info };
}

/** Reads what a target did. */
export function parseEvent(line: ProtocolLine): TargetEvent {
  const { event: kind } = readFields(line, { event: "text" });
  if (kind === "stop") return { kind, ...readFields(line, EVENTS.stop) };
  if (kind === "exit") return { kind, ...readFields(line, EVENTS.exit) };
  if (kind === "signal") return { kind, ...readFields(line, EVENTS.signal) };
  throw new SyntaxError(`expected the event stop, exit or signal, found ${kind}`);
}

/** Reads what the system call did. */
export function parseCheckpoint(line: ProtocolLine): Omit<CheckpointResult, "image" | "previousId"> {
  if (line.fields.has("paused")) {
    const { paused: handle, caller, length } = readFields(line, PAUSED);
    const none = { result: 0n, errno: 0, secondsBefore: 0n, secondsAfter: 0n, nanoseconds: 0n };
    return { ...none, caller, length, paused: { handle, caller } };
  }
  const found = readFields(line, CHECKPOINT);
  const { result, signal } = found;
  return { ...found, errno: result < 0n && signal === undefined ? Number(-result) : 0 };
}
