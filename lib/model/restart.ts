// SPDX-License-Identifier: MIT
import * as v from "valibot";
import {
  described,
  either,
  integer,
  keysOf,
  list,
  object,
  oneOf,
  optional,
  text,
  wordSet,
} from "../schema.ts";
import type { Problem } from "./call.ts";
import { FILE_NAME, ID, OUTCOME } from "./fields.ts";
import { IMAGE_CHANGES } from "./image_changes.ts";

const BYTES = integer(0, 2 ** 40);
const MAX_CUT = 2 ** 14;

/** What the caller passes in place of the image's file, and why the kernel cannot read it. */
export const SOURCES = {
  file: undefined,
  pipe: undefined,
  socket: undefined,
  "empty pipe": undefined,
  none: ["EBADF", "the descriptor is not open"],
  directory: ["EINVAL", "the kernel cannot read a directory"],
  epoll: ["EINVAL", "the kernel cannot read an epoll descriptor"],
  zero: ["EINVAL", "/dev/zero has a read of its own"],
} as const satisfies Readonly<Record<string, Problem | undefined>>;

/** Flags that the image's file is opened with, O_NONBLOCK that of an empty pipe. */
const FLAGS = ["O_WRONLY", "O_RDWR", "O_PATH", "O_NONBLOCK"] as const;

/** In which order the kernel comes to what may be wrong: the records, and what is behind the last one. */
export const STAGES = {
  START: 0,
  HEAD: 1,
  HEAD_ARCH: 2,
  TASK: 3,
  MM: 4,
  VMA: 5,
  PGARR: 6,
  MM_CONTEXT: 7,
  THREAD: 8,
  CPU: 9,
  X86_FSGSBASE: 10,
  AUXV: 11,
  SIGNALS: 12,
  SIGACTION: 13,
  TAIL: 14,
  COMMIT: 15,
} as const;

/** What becomes of the name of a mapped file before the call, and what that leads to. */
export const FATES = {
  gone: ["ENOENT", "a mapped file is gone"],
  fifo: ["EACCES", "a pipe has the name of a mapped file"],
  device: ["EACCES", "a device has the name of a mapped file"],
  link: ["EACCES", "a symbolic link has the name of a mapped file, and leads to it"],
  empty: ["EFAULT", "a mapped file has no page where the image has a copy of one"],
  unreadable: ["EACCES", "the caller may not read a mapped file"],
  noexec: ["EPERM", "a mapped file lies on a file system without programs"],
  "below a file": ["ENOTDIR", "a file has the name of the directory of a mapped file"],
  "below a loop": ["ELOOP", "the directory of a mapped file is a link to itself"],
  "in /proc": ["ENODEV", "a mapped file cannot be mapped any more"],
  "in sysfs": ["ENODEV", "a mapped file refuses to be mapped"],
  "in hugetlbfs": ["EOPNOTSUPP", "a mapped file is one of huge pages"],
} as const satisfies Readonly<Record<string, Problem>>;

/** Why a caller is refused for what it shares, in the order of the kernel's questions; undefined: it is not. */
export const TRAITS = {
  thread: ["EOPNOTSUPP", "the caller has another thread"],
  handlers: ["EOPNOTSUPP", "the caller shares its signal handlers"],
  memory: undefined,
  files: undefined,
  child: undefined,
  vfork: undefined,
  seccomp: undefined,
  handler: undefined,
  ignored: undefined,
  stack: undefined,
  timer: undefined,
  small: undefined,
  breakpoint: undefined,
  ldt: undefined,
  call: undefined,
  locks: undefined,
  pending: undefined,
  dispatch: undefined,
  rseq: undefined,
  signaller: undefined,
  stepped: undefined,
  work: undefined,
  reader: undefined,
} as const satisfies Readonly<Record<string, Problem | undefined>>;

/** Capabilities by their numbers (include/uapi/linux/capability.h). */
export const CAPABILITIES = {
  ...{ CAP_DAC_OVERRIDE: 1, CAP_IPC_LOCK: 14, CAP_SYS_RAWIO: 17, CAP_SYS_ADMIN: 21 },
  CAP_CHECKPOINT_RESTORE: 40,
} as const;

/** One of them. */
export type Capability = keyof typeof CAPABILITIES;

const CALLER = object({
  uid: optional(ID, "User id of the caller; root's by default."),
  gid: optional(ID, "Group id of the caller."),
  capabilities: optional(wordSet(keysOf(CAPABILITIES)), "Those that it has, in place of its user's."),
  userNamespace: optional(v.literal(true, "true"), "It is in a user namespace of its own, and root there."),
  pidNamespace: optional(v.literal(true, "true"), "It is the first process of a pid namespace."),
  flags: optional(integer(0, 2 ** 52), "The third argument; 1: RESTART_STOPPED."),
  pid: optional(
    either("a pid, or own", integer(-(2 ** 31), 2 ** 31 - 1), v.literal("own")),
    "The first argument; 0 by default, the caller, who may also say its own.",
  ),
  has: optional(
    wordSet(keysOf(TRAITS)),
    "What it has: another thread; somebody who shares its signal handlers, memory or open files; a child; a parent " +
      "that waits in vfork(2); a seccomp filter; a signal handler; an ignored signal; a stack for signals; a timer " +
      "whose signal is blocked; no huge pages; a breakpoint; a segment of its LDT in a register; a call " +
      "that was interrupted, and could start again; locks on all memory to come; SIGURG, pending and blocked; " +
      "dispatched system calls; an rseq area; a child that ends behind the call, and then sends SIGUSR1; a tracer " +
      "that goes over the call by a single step; an io_uring that leaves work for it while it waits; one " +
      "that reads, of what comes meanwhile, to where the process of the image has memory.",
  ),
  entry: optional(oneOf(["int 0x80"]), "The 64-bit caller calls by the table of the 32-bit ones."),
  limits: optional(
    object({
      as: optional(
        either(`bytes, "just enough" or "too little"`, BYTES, oneOf(["just enough", "too little"])),
        `"just enough" is as much as the image's mappings have, and "too little" one page less.`,
      ),
      ...{ data: optional(BYTES), memlock: optional(BYTES) },
      stack: optional(oneOf(["unlimited"])),
    }),
    "RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK in bytes; RLIMIT_STACK, without which new mappings go up from below.",
  ),
  denies: optional(oneOf(["write and execute"]), "prctl(PR_SET_MDWE) of Linux 6.3."),
  interruptedBy: optional(
    oneOf(["SIGALRM", "SIGKILL"]),
    "What comes while it waits; it has a handler for SIGALRM.",
  ),
  program: optional(
    oneOf(["copied", "opened", "not executable", "of the other word size"]),
    "The caller runs a copy of the target's program, which somebody has open for writing, or nobody may execute; or " +
      "it is one of 64 bits where the target is of 32, or the other way round.",
  ),
});

const FILE_FATE = object({ file: FILE_NAME, becomes: oneOf(keysOf(FATES)) });

const RESTART = object({
  from: optional(
    object({
      kind: optional(oneOf(keysOf(SOURCES))),
      flags: optional(wordSet(FLAGS), "Of its file, or of an empty pipe, which nobody ever writes to."),
      position: optional(integer(1, 2 ** 20), "Bytes of the file before the image."),
    }),
    "What restart(2) reads from: a file by default; a pipe holds 4 KiB.",
  ),
  caller: optional(CALLER, "Who calls, with what."),
  image: optional(
    object({
      cut: optional(integer(0, MAX_CUT), "It ends after so many bytes; less than any image has."),
      change: optional(
        either(
          "a change, or a list of changes",
          oneOf(keysOf(IMAGE_CHANGES)),
          list(oneOf(keysOf(IMAGE_CHANGES)), 2),
        ),
        "What is changed about a record; of several, one at a time, each of which ends as is expected.",
      ),
      name: optional(
        object({ file: FILE_NAME, is: text(/^[^\0]+$/, "a name") }),
        "Another name of a mapped file.",
      ),
    }),
    "What is changed about the image.",
  ),
  mapped: optional(FILE_FATE, "What becomes of the name of a mapped file before the call."),
  settings: optional(
    object({
      restart_unprivileged: optional(v.literal(1, "1"), "Anybody may restart."),
      max_map_count: optional(
        either(
          `a number, "just enough" or "too few"`,
          integer(1, 2 ** 20),
          oneOf(["just enough", "too few"]),
        ),
        `"just enough" is as many as the image has, and "too few" one less.`,
      ),
      mmap_min_addr: optional(integer(0, 2 ** 31)),
      overcommit_memory: optional(v.literal(2, "2"), "No memory is promised that is not there."),
    }),
    "Parameters of the kernel at the time of the call.",
  ),
  stays: optional(
    oneOf(["traced", "running"]),
    "The process stays in its tracer's stop, at the end of the call; or nobody traces or stops it, and it runs on.",
  ),
  times: optional(integer(2, 1000), "The caller is refused so many times, and nothing is lost by it."),
  generations: optional(
    integer(1, 20),
    "So many times in a row, each time from the image of the last process.",
  ),
  expect: optional(
    described(
      `"ok": it is restored (default); an errno: refused, and the caller is as it was; a signal: the caller dies.`,
      OUTCOME,
    ),
  ),
});

/** How a stopped target is restarted. */
export type RestartSpec = v.InferOutput<typeof RESTART>;

/** The key of a stop that says how the target is restarted. */
export const RESTART_FIELDS = {
  restart: optional(
    RESTART,
    "The target goes on in another process, restarted from its image; where that is refused, it goes on itself.",
  ),
};
