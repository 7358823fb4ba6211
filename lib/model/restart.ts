// SPDX-License-Identifier: MIT
import * as v from "valibot";
import { described, integer, keysOf, object, oneOf, optional, text, wordSet } from "../schema.ts";
import type { Problem } from "./call.ts";
import { FILE_NAME, ID, OUTCOME } from "./fields.ts";

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
  CPU: 8,
  X86_FSGSBASE: 9,
  TAIL: 10,
  COMMIT: 11,
} as const;

/** Bits of the first record of a name that are flipped, and what comes of it. */
export interface Flip {
  readonly byte: number;
  readonly bits: number;
  readonly problem: Problem;
  /** Set where only a kernel of 64 bits can tell. */
  readonly is64?: true;
}

export const FLIPS = {
  "HEAD.magic": { byte: 0, bits: 0xff, problem: ["EINVAL", "it is no image"] },
  "HEAD.rev": { byte: 0, bits: 0xff, problem: ["EINVAL", "it is of another version of the format"] },
  "HEAD.minor": { byte: 0, bits: 1, problem: ["ENOEXEC", "another kernel wrote it"] },
  "HEAD.release": { byte: 0, bits: 1, problem: ["ENOEXEC", "another kernel wrote it"] },
  "HEAD_ARCH.xstate_size": { byte: 0, bits: 0x40, problem: ["ENOEXEC", "it is of another CPU"] },
  "TASK.exit_state": { byte: 0, bits: 1, problem: ["EINVAL", "it is of a process that has ended"] },
  "MM.map_count": {
    byte: 3,
    bits: 0x40,
    problem: ["ENOMEM", "it has more mappings than a process may have"],
  },
  "MM.brk": { byte: 7, bits: 0x40, problem: ["EINVAL", "the break is no address of a program"] },
  "VMA.vm_flags": { byte: 1, bits: 0x04, problem: ["EOPNOTSUPP", "a mapping is of device memory"] },
  "VMA.vm_page_prot": { byte: 0, bits: 2, problem: ["ENOEXEC", "pages are not protected as here"] },
  "VMA.vm_pgoff": {
    byte: 6,
    bits: 8,
    problem: ["EOVERFLOW", "an offset in a file is too large"],
    is64: true,
  },
  "VMA.vm_end": { byte: 7, bits: 0x80, problem: ["EINVAL", "a mapping ends where no program has memory"] },
  "PGARR.nr_pages": { byte: 2, bits: 1, problem: ["EINVAL", "a chunk has more pages than chunks have"] },
  "MM_CONTEXT.nldt": {
    byte: 1,
    bits: 0x40,
    problem: ["EINVAL", "the LDT has more entries than there can be"],
  },
  "CPU.ds": { byte: 0, bits: 0x10, problem: ["EINVAL", "a selector is the kernel's"] },
  "CPU.used_math": { byte: 0, bits: 1, problem: ["EINVAL", "there is no FPU state"] },
  "X86_FSGSBASE.fsbase": {
    ...{ byte: 7, bits: 0x80, is64: true },
    problem: ["EINVAL", "the base of fs is no address"],
  },
  "CPU.flags": { byte: 1, bits: 0x30, problem: ["EINVAL", "no program may do input and output"] },
  "CPU.cs": {
    ...{ byte: 0, bits: 0x10, is64: true },
    problem: ["ENOEXEC", "it is of another kind of program than the caller"],
  },
  "TAIL.magic": { byte: 0, bits: 0xff, problem: ["EINVAL", "it does not end as an image does"] },
} as const satisfies Readonly<Record<string, Flip>>;

/** What becomes of the name of a mapped file before the call, and what that leads to. */
export const FATES = {
  gone: ["ENOENT", "a mapped file is gone"],
  fifo: ["EACCES", "a pipe has the name of a mapped file"],
  empty: ["EFAULT", "a mapped file has no page where the image has a copy of one"],
  unreadable: ["EACCES", "the caller may not read a mapped file"],
  noexec: ["EPERM", "a mapped file lies on a file system without programs"],
  "below a file": ["ENOTDIR", "a file has the name of the directory of a mapped file"],
  "below a loop": ["ELOOP", "the directory of a mapped file is a link to itself"],
  "in /proc": ["ENODEV", "a mapped file cannot be mapped any more"],
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
  ldt: undefined,
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
  flags: optional(integer(0, 0x7fff_ffff), "The third argument; 1: RESTART_STOPPED."),
  pid: optional(integer(-(2 ** 31), 2 ** 31 - 1), "The first argument; 0 by default, the caller."),
  has: optional(
    wordSet(keysOf(TRAITS)),
    "What it has: another thread; somebody who shares its signal handlers, memory or open files; a child; a parent " +
      "that waits in vfork(2); a seccomp filter; a signal handler; a segment of its LDT in a register.",
  ),
  entry: optional(oneOf(["int 0x80"]), "The 64-bit caller calls by the table of the 32-bit ones."),
  limits: optional(
    object({ as: optional(BYTES), data: optional(BYTES), memlock: optional(BYTES) }),
    "RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK in bytes.",
  ),
  denies: optional(oneOf(["write and execute"]), "prctl(PR_SET_MDWE) of Linux 6.3."),
  interruptedBy: optional(
    oneOf(["SIGALRM", "SIGKILL"]),
    "What comes while it waits; it has a handler for SIGALRM.",
  ),
  program: optional(
    oneOf(["opened", "not executable"]),
    "The caller runs a copy of the target's program, which somebody has open for writing, or nobody may execute.",
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
      flip: optional(oneOf(keysOf(FLIPS)), "A field of which bits are flipped."),
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
      max_map_count: optional(integer(1, 2 ** 20)),
      mmap_min_addr: optional(integer(0, 2 ** 31)),
    }),
    "Parameters of the kernel at the time of the call.",
  ),
  stays: optional(oneOf(["traced"]), "The process stays in its tracer's stop, at the end of the call."),
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
