// SPDX-License-Identifier: MIT
import * as v from "valibot";
import {
  described,
  either,
  integer,
  keysOf,
  list,
  type Merged,
  object,
  oneOf,
  optional,
  variant,
  wordSet,
} from "../schema.ts";
import { PAGE_SIZE } from "../abi/arch.ts";
import { ABSOLUTE_PATH, FILE_NAME, ID, NAME } from "./fields.ts";

/** Why the call is refused: the errno, and the reason in words. */
export type Problem = readonly [name: string, why: string];

/** What a pid stands for, in the order in which the call asks: is there a process, whose is it, what is it. */
interface NamedProcess {
  /** Why there is no such process. */
  readonly missing?: string;
  /** Whose it is; root's when not given. */
  readonly owner?: "target" | "caller";
  /** What is wrong with it, for a caller who may look into it. */
  readonly problem?: Problem;
}

/** What the call says of a pid: cr_get_task, cr_task_access and cr_task_wait of the port. */
const PROCESSES = {
  target: { owner: "target" },
  self: { owner: "caller" },
  init: { problem: ["EBUSY", "process 1 runs"] },
  kthread: { problem: ["EINVAL", "it is a kernel thread"] },
  zombie: { problem: ["ESRCH", "it is a zombie: it has no memory any more"] },
  thread: { missing: "the id is of a thread that does not lead its process" },
  reaped: { missing: "the process was waited for: nobody has the pid" },
  none: { missing: "nobody has the pid" },
} as const satisfies Readonly<Record<string, NamedProcess>>;

/** Numbers whose processes are known: the caller itself, the agent, kthreadd. */
const KNOWN_NUMBERS: Readonly<Record<number, keyof typeof PROCESSES>> = {
  0: "self",
  1: "init",
  2: "kthread",
};

/** PID_MAX_LIMIT: no process has this pid or a higher one. */
const PID_MAX_LIMIT = 4_194_304;

const CALL_PID = either(
  `${Object.keys(PROCESSES).join(", ")} or a number`,
  oneOf(keysOf(PROCESSES)),
  integer(-(2 ** 31), 2 ** 31 - 1),
);

/**
 * Whose pid a call is given: the target's; that of the target, which makes the call itself; the agent's, kthreadd's, a
 * zombie's; of a thread of the target that does not lead it, of a process that was waited for, of nobody; or a number.
 */
export type CallPid = v.InferOutput<typeof CALL_PID>;

/** Whether the target makes the call itself, by its own pid or by the pid 0. */
export function isSelf(pid: CallPid | undefined): boolean {
  return pid === "self" || pid === 0;
}

interface PidContext {
  readonly uid: number;
  readonly euid?: number;
  readonly gid: number;
  readonly target: { readonly uid: number; readonly gid: number; readonly dumpable: boolean };
  /** Whether only those with capabilities may attach. */
  readonly isRestricted?: boolean;
}

/**
 * Why the call is refused for the sake of the pid alone.
 *
 * @throws {SyntaxError} when nobody knows whose pid a number is
 */
export function pidProblem(
  pid: CallPid,
  { uid, euid = uid, gid, target, isRestricted }: PidContext,
): Problem | undefined {
  const { missing, owner, problem }: NamedProcess = PROCESSES[typeof pid === "string" ? pid : wordOf(pid)];
  if (missing !== undefined) return ["ESRCH", missing];
  // __ptrace_may_access (kernel/ptrace.c): the effective id brings capabilities, else the real ones count.
  const mayAttach = euid === 0 || owner === "caller" ||
    (owner === "target" && uid === target.uid && gid === target.gid && target.dumpable && !isRestricted);
  return mayAttach ? problem : ["EPERM", "the caller may not ptrace-attach to the process"];
}

function wordOf(pid: number): keyof typeof PROCESSES {
  if (pid < 0 || pid >= PID_MAX_LIMIT) return "none";
  const word = KNOWN_NUMBERS[pid];
  if (word !== undefined) return word;
  throw new SyntaxError(
    `whose pid ${pid} is cannot be known: expected 0, 1, 2, a negative number or one from ${PID_MAX_LIMIT} up`,
  );
}

const OPEN_FLAGS = [
  "O_RDONLY",
  "O_WRONLY",
  "O_RDWR",
  "O_APPEND",
  "O_NONBLOCK",
  "O_DIRECT",
  "O_DIRECTORY",
  "O_PATH",
] as const;

/** One of {@linkcode OPEN_FLAGS}. */
export type OpenFlag = (typeof OPEN_FLAGS)[number];

const SEALS = ["F_SEAL_GROW", "F_SEAL_WRITE"] as const;

const BYTES = integer(0, 2 ** 40);

function is<const Word extends string>(word: Word): v.LiteralSchema<Word, string> {
  return v.literal(word, word);
}

const CALL = object({
  uid: optional(ID, "User id of the caller; its only one, unless `euid` says otherwise."),
  euid: optional(ID, "Effective user id of the caller, as a program has that changes it for a while."),
  gid: optional(ID, "Group id of the caller; its only one."),
  flags: optional(integer(0, Number.MAX_SAFE_INTEGER), "The third argument."),
  pid: optional(CALL_PID, `Whose pid it is given; by default the target's. "self": the target calls.`),
  times: optional(
    integer(1, 10_000),
    "How often the same caller calls, one time after the other; a leak shows in hundreds.",
  ),
  signals: optional(oneOf(["ignored", "fatal"]), "What SIGPIPE and SIGXFSZ do to the caller."),
  alarm: optional(
    integer(1, 60_000_000),
    "Microseconds from one SIGALRM for the caller to the next. It has a handler, which restarts system calls; " +
      "the first of these signals must come before the end of the image.",
  ),
  signalBehind: optional(
    either("HEAD or the name of an area", is("HEAD"), NAME),
    "One SIGUSR1, with such a handler, when the caller has written the record HEAD, or that of an area to a pipe. " +
      "The image must end before the next record, or that of the next area.",
  ),
});

const SIZE = {
  size: optional(integer(1, 2 ** 20), "Bytes that fit into a pipe or are asked for as a socket's buffer."),
};
const READER = {
  readerClosesAfter: optional(BYTES, "The reader goes away after so many bytes; 0: there was never one."),
};
const FILE = {
  position: optional(BYTES, "File position before the call."),
  initialSize: optional(integer(0, 2 ** 24), "Bytes in the file before the call."),
  rlimitFsize: optional(BYTES, "RLIMIT_FSIZE of the caller."),
};

const PIPE_FLAGS: v.GenericSchema<readonly OpenFlag[]> = wordSet(["O_NONBLOCK", "O_DIRECT"]);

const OUTPUTS = [
  object({
    kind: is("pipe"),
    ...SIZE,
    ...READER,
    flags: optional(PIPE_FLAGS, "Of the end that is written to; O_DIRECT: each write is read alone."),
  }),
  object({
    kind: is("socket"),
    ...SIZE,
    ...READER,
    timeout: optional(
      integer(1, 60_000),
      "SO_SNDTIMEO, in milliseconds: a write that has sent some ends then.",
    ),
  }),
  object({ kind: is("memfd"), ...FILE, seals: optional(wordSet(SEALS), "Seals of the memfd.") }),
  object({
    kind: is("file"),
    path: described("The file, which is made unless its directory is one of the system.", ABSOLUTE_PATH),
    flags: optional(wordSet(OPEN_FLAGS), "Flags of open(2); O_WRONLY by default."),
    ...FILE,
    fsSize: optional(
      v.pipe(
        integer(PAGE_SIZE, 2 ** 30),
        v.multipleOf(PAGE_SIZE, `a whole number of pages of ${PAGE_SIZE} bytes`),
      ),
      "Bytes of the tmpfs, a whole number of pages, that is mounted for the file.",
    ),
    mount: optional(oneOf(["9p"]), "What is mounted for the file: a directory of the host."),
  }),
  object({ kind: is("epoll") }),
  object({ kind: is("eventfd") }),
  object({ kind: is("signalfd") }),
  object({ kind: is("none") }),
] as const;

const AT = described(
  "Bytes of the image that have been read when it happens; or the record that the pipe then holds, alone, while the " +
    "next write waits (a pipe with O_DIRECT).",
  either("a number of bytes, MM_CONTEXT, THREAD or CPU", BYTES, oneOf(["MM_CONTEXT", "THREAD", "CPU"])),
);
const AREA = { area: NAME };

const ACTIONS = [
  object({ at: AT, do: is("nothing") }),
  object({ at: AT, do: is("kill") }),
  object({ at: AT, do: is("cont") }),
  object({
    at: AT,
    do: is("signal"),
    signal: optional(oneOf(["SIGKILL", "SIGTERM", "SIGUSR1"]), "For the caller."),
    handled: optional(
      v.boolean("true or false"),
      "Whether the caller has a handler, which restarts system calls.",
    ),
  }),
  /** A byte written through /proc/PID/mem. */
  object({
    at: AT,
    do: is("poke"),
    ...AREA,
    page: optional(integer(0, 2 ** 35)),
    value: optional(integer(0, 255)),
  }),
  /** process_madvise(2). */
  object({ at: AT, do: is("pageout"), ...AREA }),
  object({ at: AT, do: is("cold"), ...AREA }),
  /** PTRACE_SET_THREAD_AREA that empties a TLS entry, by the tracer that has stopped the target. */
  object({ at: AT, do: is("clear_tls"), entry: integer(0, 2) }),
  /** Another one of the same target, to its end. */
  object({ at: AT, do: is("checkpoint") }),
  /** Left for the caller to do, by a poll of its io_uring: it ends a wait as a signal does, and is none. */
  object({ at: AT, do: is("work") }),
  /** Of a mapped file. */
  object({ at: AT, do: is("unlink"), file: FILE_NAME }),
  object({ at: AT, do: is("rename"), file: FILE_NAME, to: FILE_NAME }),
  /** Of an area from its userfaultfd, by another process. */
  object({ at: AT, do: is("unregister"), ...AREA }),
  /** Until the caller's wait in a write has timed out once. */
  object({ at: AT, do: is("time_out") }),
] as const;

/** Who calls checkpoint(2) and with what. What is not said is root's plain call for the target. */
export type CallSpec = v.InferOutput<typeof CALL>;

/** Where the image goes to; `none` is a descriptor that is not open, a socket a stream of a UNIX pair. */
export type OutputSpec = Merged<v.InferOutput<(typeof OUTPUTS)[number]>>;

/** Something that happens while the call is blocked in a write. */
export type ActionSpec = Merged<v.InferOutput<(typeof ACTIONS)[number]>>;

/** What happens, in a word. */
export type ActionKind = ActionSpec["do"];

/** The keys of a stop that say how the call is made. */
export const CALL_FIELDS = {
  call: optional(CALL, "Who calls, with what."),
  to: optional(variant<OutputSpec>("kind", OUTPUTS), "Where to."),
  whileBlocked: optional(
    v.pipe(
      list(variant<ActionSpec>("do", ACTIONS), 1),
      v.check(
        (actions) =>
          actions.every(({ at }, index) => index === 0 || Number(actions[index - 1]!.at) <= Number(at)),
        `actions whose "at" does not go down`,
      ),
    ),
    "What happens while the call waits for its reader, in the order of the places in the image.",
  ),
};

/** The keys of a stop that say how the call is made. */
export type CallFields = v.InferOutput<v.StrictObjectSchema<typeof CALL_FIELDS, undefined>>;
