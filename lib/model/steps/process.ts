// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { MAX_AUXV_ENTRIES } from "../../abi/auxv.ts";
import { ERRNO, errnoNumber } from "../../abi/errno.ts";
import { SIGNALS } from "../../abi/signals.ts";
import { described, either, integer, keysOf, list, oneOf, optional, text } from "../../schema.ts";
import { ERRNO_NAME, ID, NAME, NUMBER, PAGE_COUNT } from "../fields.ts";
import { protBits, vmFlagsOfMmap } from "../state/vm_flag_rules.ts";
import { addressOf } from "../state/page_set.ts";
import { VM } from "../../abi/vm_flags.ts";
import { SINCE_SYSCALL, SYSCALL_NAMES, type SyscallName, syscallNumber } from "../syscall_numbers.ts";
import type { OpArgument } from "../target_op.ts";
import { defineStep, sinceWords, SLOTS, type StepContext } from "./define_step.ts";

/** dup_mmap (kernel/fork.c): what becomes of the areas in a child. */
export function forkedSpace({ state }: StepContext): void {
  state.signals.pending = 0n;
  state.defaultFlags = 0n;
  state.locksOwnMemory = false;
  // The child's VMA has two anon_vmas, and merges with none (is_mergeable_anon_vma, mm/mmap.c).
  state.space.bss = undefined;
  for (const area of [...state.space.areas]) {
    if ((area.flags & VM.DONTCOPY) !== 0n) {
      state.space.unmap(area.start, area.end);
    } else {
      if ((area.flags & VM.WIPEONFORK) !== 0n) state.space.dropPages(area.start, area.end);
      state.space.change(area.start, area.end, (old) => ({
        ...old,
        flags: old.flags & ~(VM.LOCKED | VM.LOCKONFAULT | VM.UFFD_MISSING | VM.UFFD_WP),
        ...(old.hasAnonVma ? { isForked: true } : {}),
      }));
    }
  }
}

/** PR_SET_MM_... (include/uapi/linux/prctl.h), but for those of the heap, which brk(2) goes by. */
const MM_FIELDS = {
  ...{ start_code: 1, end_code: 2, start_data: 3, end_data: 4, start_stack: 5 },
  ...{ arg_start: 8, arg_end: 9, env_start: 10, env_end: 11, auxv: 12 },
};

/** What a step `syscall` may do: no image shows it, and nothing that a later step does depends on it. */
const HARMLESS: readonly SyscallName[] = [
  ...["open", "close", "dup", "mkdir", "fsync", "lseek", "fcntl", "pipe2", "socketpair"] as const,
  ...["memfd_create", "userfaultfd", "epoll_create1", "eventfd2", "signalfd4"] as const,
  ...["getpid", "pidfd_open", "pidfd_getfd", "get_thread_area", "ioperm", "iopl"] as const,
];

/**
 * First arguments that are harmless: of prctl PR_GET_DUMPABLE and PR_{SET,GET}_NAME, of personality the question, of
 * chmod a device, whose mode the scenario sets back, and a file that is to be executed; the bases that arch_prctl
 * ARCH_SET_{GS,FS} sets ptrace shows.
 */
const HARMLESS_ARGUMENTS: Partial<Record<SyscallName, readonly (number | string)[]>> = {
  prctl: [3, 15, 16],
  personality: [0xffff_ffff],
  chmod: ["/dev/zero", "program"],
  arch_prctl: [0x1001, 0x1002],
};

/** Calls that may have done a part of their work when they fail. */
const PARTIAL: readonly SyscallName[] = [
  ...["mprotect", "madvise", "process_madvise", "munmap", "mremap", "mlock", "mlock2", "mlockall"] as const,
];

/** A call that changes what the model must know would make every later prediction wrong. */
function requireHarmless(
  { name, args, expect }: {
    readonly name: SyscallName;
    readonly args?: readonly (number | string)[];
    readonly expect?: number | string;
  },
): void {
  const [first] = args ?? [];
  if (HARMLESS.includes(name) || HARMLESS_ARGUMENTS[name]?.some((argument) => argument === first)) return;
  if (typeof expect === "string" && !PARTIAL.includes(name)) return;
  throw new SyntaxError(
    `${name} may change what the model must know: expected a step of its own for it, or "expect" with ` +
      `the errno of a call that fails as a whole`,
  );
}

const PR_SET_DUMPABLE = 4n;
const NAMESPACES = {
  ...{ mount: 0x20000n, pid: 0x20000000n, time: 0x80n, user: 0x10000000n, uts: 0x4000000n },
} as const;
const VHOST_SET_OWNER = 0xaf01n;

function expectation(expect: number | string | undefined): bigint | undefined {
  if (expect === undefined) return undefined;
  if (typeof expect === "number") return BigInt(expect);
  return BigInt(-errnoNumber(expect));
}

/** The steps of this family. */
export const PROCESS_STEPS = [
  defineStep({
    op: "fork",
    about: "fork(2): both share every anonymous page; one of them is the subject from here on.",
    fields: {
      subject: oneOf(["child", "parent"]),
      exitSignal: optional(
        oneOf(["SIGURG", "none"]),
        "What the parent gets at the end of a child that is the subject.",
      ),
    },
    apply(step, context) {
      const { state, builder, index } = context;
      const child = step.subject === "child";
      if (step.exitSignal !== undefined && !child) throw new SyntaxError("the child is not the subject");
      // 0 says fork(2): of what is above no more than a byte is passed on.
      const NO_SIGNAL = 0x100;
      const exitSignal = step.exitSignal === undefined
        ? {}
        : { exitSignal: step.exitSignal === "none" ? NO_SIGNAL : SIGNALS[step.exitSignal] };
      builder.emitWithResult({ op: "fork", mode: step.subject, id: index, ...exitSignal }, "fork()");
      state.space.sharePages(true);
      if (!child) return;
      state.isForked = true;
      state.ldt = state.ldt.fork();
      state.debug = state.debug.fork();
      forkedSpace(context);
    },
  }),
  defineStep({
    op: "exec",
    about: "execve(2) of the target's own program, which goes on with the next step.",
    apply(_step, { state, builder }) {
      builder.emitWithResult({ op: "exec" }, "execve()", 0n);
      state.exec();
      builder.syscall("brk", [0n], {});
    },
  }),
  defineStep({
    op: "shm",
    about: "shmget(2) and shmat(2): a System V segment, which is shared memory.",
    fields: { area: NAME, pages: PAGE_COUNT },
    apply(step, { state, builder }) {
      const SHM_SLOT = 4;
      const pages = state.areaPages(step.pages);
      // The alignment that i386 and x86-64 want is a page.
      const start = state.place(pages);
      builder.syscall("shmget", [0n, addressOf(pages), 0o1600n], { keep: SHM_SLOT });
      builder.syscall("shmat", [{ slot: SHM_SLOT }, addressOf(start), 0n], { expected: addressOf(start) });
      builder.succeed("shmctl", [{ slot: SHM_SLOT }, 0n, 0n]);
      state.nameArea(step.area, { start, pages });
      const flags = vmFlagsOfMmap({ prot: protBits("rw"), flags: ["shared"], readOnlyFile: false });
      state.space.map({ label: step.area, start, end: start + pages, flags, pgoff: 0 });
    },
    since: (_step, target) =>
      target === "i386" ? [{ release: "5.1", what: "by shmget as a call of its own" }] : [],
  }),
  defineStep({
    op: "thread",
    about: "Starts a sibling that shares the memory; the kernel code refuses such a target.",
    fields: {
      kind: described(
        `"leaderless process": its first thread has ended, a second one lives.`,
        oneOf(["thread", "process", "leaderless process"]),
      ),
    },
    apply({ kind }, { state, builder }) {
      const role = kind === "thread" ? kind : undefined;
      builder.emitWithResult({ op: "thread", kind }, `clone(CLONE_VM), ${kind}`, undefined, { role });
      state.sharedWith = role ?? "process";
    },
  }),
  defineStep({
    op: "thread_call",
    about:
      "A second thread calls checkpoint(2) with pid 0, its process, whose first thread runs: EBUSY. It ends.",
    fields: {},
    apply(_step, { state, builder }) {
      const op = { op: "thread", kind: "call", nr: state.target.checkpointNr } as const;
      builder.emitWithResult(op, "checkpoint(0) of a second thread", BigInt(-ERRNO.EBUSY));
    },
  }),
  defineStep({
    op: "switch",
    about: "So many waits for a thread, each of them a switch of tasks; the thread ends.",
    fields: { times: integer(1, 1_000_000) },
    apply: ({ times }, { builder }) => builder.emit({ op: "switch", times }),
  }),
  defineStep({
    op: "dump_core",
    about: "A child dumps core, which its wait status tells: the kernel knows how to write it.",
    fields: {},
    apply(_step, { state, builder }) {
      if (state.credentials.uid !== 0) throw new RangeError("only root can write to the working directory");
      const DUMPED = 0x80;
      builder.emitWithResult({ op: "core" }, "wait status of SIGABRT", BigInt(SIGNALS.SIGABRT | DUMPED));
    },
  }),
  defineStep({
    op: "vhost",
    about:
      "VHOST_SET_OWNER: a thread borrows the address space for as long as the device stays open; a kernel " +
      "thread, until Linux 6.4.",
    apply(_step, { builder }) {
      const O_RDWR = 2n;
      builder.syscall("open", [builder.scratchString(0, "/dev/vhost-vsock"), O_RDWR], { keep: SLOTS.file });
      builder.succeed("ioctl", [{ slot: SLOTS.file }, VHOST_SET_OWNER, 0n]);
    },
    since: () => [{ release: "4.8", what: "by vhost-vsock" }],
  }),
  defineStep({
    op: "io_setup",
    about: "io_setup(2): an AIO context, whose ring is mapped as shared memory.",
    apply(_step, { state, builder }) {
      builder.succeed("io_setup", [1n, builder.scratch(0, new Uint8Array(8))]);
      state.hasAioRing = true;
    },
  }),
  defineStep({
    op: "inherited",
    about:
      "Asks what the kernel keeps for the program by address: a stack for signals, a robust futex list, a handler " +
      "of SIGUSR1, a timer: the target never set any. Maps a page where the kernel likes, and uses the vdso.",
    fields: {
      mappings: optional(oneOf(["up from below"]), "Where new ones go; down from the stack by default."),
    },
    apply({ mappings }, { state: { signals }, builder }) {
      const { wordSize } = builder;
      const { stack: { size }, actions } = signals.predicted();
      if (size > 0n || actions.size > 0) {
        throw new RangeError("a step has set something of it");
      }
      const SIGUSR1 = 10n;
      const [SS_DISABLE, MASK_BYTES] = [2, 8];
      const stack = new Uint8Array(3 * wordSize);
      stack[wordSize] = SS_DISABLE;
      const buffer = builder.scratch(0, new Uint8Array(64).fill(0xa5));
      builder.succeed("sigaltstack", [0n, buffer]);
      builder.report(buffer, stack.length, "the stack for signals", stack);
      builder.scratch(0, new Uint8Array(64).fill(0xa5));
      builder.succeed("rt_sigaction", [SIGUSR1, 0n, buffer, BigInt(MASK_BYTES)]);
      builder.report(
        buffer,
        3 * wordSize + MASK_BYTES,
        "the handler",
        new Uint8Array(3 * wordSize + MASK_BYTES),
      );
      builder.syscall("timer_gettime", [0n, buffer], { expected: BigInt(-ERRNO.EINVAL) });
      const second = builder.scratch(128, new Uint8Array(8));
      builder.scratch(0, new Uint8Array(8).fill(0xa5));
      builder.succeed("get_robust_list", [0n, buffer, second]);
      builder.report(buffer, wordSize, "the robust list", new Uint8Array(wordSize));
      const MAPPED_SLOT = 6;
      const [PROT_READ, PRIVATE_ANONYMOUS, NO_FILE] = [1n, 0x22n, 0xffffffffffffffffn];
      const where = [0n, PAGE_SIZE_BIG, PROT_READ, PRIVATE_ANONYMOUS, NO_FILE, 0n];
      const nr = syscallNumber(wordSize === 8 ? "mmap" : "mmap2", wordSize);
      // From below they begin at a third of the address space (TASK_UNMAPPED_BASE).
      const mask = wordSize === 8 ? 1n << 46n : 1n << 31n;
      const op = { op: "syscall", nr, args: where, keep: MAPPED_SLOT } as const;
      builder.emitWithResult(op, "mmap where the kernel likes", mappings ? 0n : mask, { mask });
      builder.succeed("munmap", [{ slot: MAPPED_SLOT }, PAGE_SIZE_BIG]);
      builder.emitWithResult({ op: "vdso" }, "a call through the vdso", 1n);
    },
    since: () => [{ release: "3.16", what: "of an address space that is laid out so" }],
  }),
  defineStep({
    op: "unshare",
    about: "unshare(2). In a new mount namespace the target's own program and files are still those of " +
      "the old one, which its root directory does not lead to; children live in a new pid or time " +
      "namespace, the caller does not.",
    fields: { namespace: oneOf(keysOf(NAMESPACES)) },
    apply(step, { state, builder }) {
      builder.succeed("unshare", [NAMESPACES[step.namespace]]);
      if (step.namespace === "mount") state.hasOtherRoot = state.hasOwnMounts = true;
    },
    since: ({ namespace }) => sinceWords({ pid: "3.8", user: "3.8", time: "5.6" }, [namespace]),
  }),
  defineStep({
    op: "syscall",
    about: "Any other system call by name, for what no step of its own covers and the model need not know.",
    fields: {
      name: oneOf(SYSCALL_NAMES),
      args: optional(v.pipe(
        list(
          either(
            "a number or a string",
            NUMBER,
            text(/^[^\0]{0,4095}$/, "a string of at most 4095 characters"),
          ),
        ),
        v.maxLength(6, "at most 6 arguments"),
      )),
      expect: optional(either("a number or the name of an errno", NUMBER, ERRNO_NAME)),
    },
    apply(step, { builder }) {
      requireHarmless(step);
      let offset = 0;
      const args = (step.args ?? []).map((arg): OpArgument => {
        if (typeof arg === "number") return BigInt.asUintN(64, BigInt(arg));
        offset += PAGE_SIZE;
        return builder.scratchString(offset, arg);
      });
      builder.syscall(step.name, args, { expected: expectation(step.expect) });
    },
    since: ({ name }) => sinceWords(SINCE_SYSCALL, [name]),
  }),
  defineStep({
    op: "become",
    about: "setresgid(2) and setresuid(2): becomes a user that only root may look into.",
    fields: { uid: ID, gid: optional(ID) },
    apply(step, { state, builder }) {
      if (state.credentials.uid !== 0) throw new RangeError("Only root can become another user");
      const { uid, gid = uid } = step;
      builder.succeed("setresgid", [BigInt(gid), BigInt(gid), BigInt(gid)]);
      builder.succeed("setresuid", [BigInt(uid), BigInt(uid), BigInt(uid)]);
      // commit_creds (kernel/cred.c): where an effective id changed.
      const changed = uid !== 0 || gid !== state.credentials.gid;
      state.credentials = { uid, gid, dumpable: state.credentials.dumpable && !changed };
    },
  }),
  defineStep({
    op: "set_mm",
    about:
      "prctl(PR_SET_MM): where the kernel thinks a part of the program to be, from then on in an area; or the " +
      "auxiliary vector that it keeps, of which it copies so many bytes from there.",
    fields: {
      ...{ field: oneOf(keysOf(MM_FIELDS)), area: NAME, offset: optional(integer(0, 2 ** 20)) },
      bytes: optional(integer(1, 16 * MAX_AUXV_ENTRIES)),
    },
    apply({ field, area, offset = 0, bytes }, { state, builder }) {
      const PR_SET_MM = 35n;
      if ((field === "auxv") !== (bytes !== undefined)) throw new RangeError("bytes goes with auxv alone");
      const address = addressOf(state.range(area).start) + BigInt(offset);
      builder.succeed("prctl", [PR_SET_MM, BigInt(MM_FIELDS[field]), address, BigInt(bytes ?? 0), 0n]);
    },
    since: () => [{ release: "3.10", what: "by prctl without CONFIG_CHECKPOINT_RESTORE" }],
  }),
  defineStep({
    op: "set_clock",
    about:
      "clock_settime(2): the clock of the guest, to the beginning of a year; seconds of 2107 have more than 32 bits.",
    fields: { year: oneOf([2026, 2107]) },
    apply(step, { builder }) {
      const CLOCK_REALTIME = 0n;
      const time = BigInt64Array.of(BigInt(Date.UTC(step.year) / 1000), 0n);
      builder.succeed("clock_settime", [CLOCK_REALTIME, builder.scratch(0, new Uint8Array(time.buffer))]);
    },
  }),
  defineStep({
    op: "dumpable",
    about: "prctl(PR_SET_DUMPABLE).",
    fields: { value: oneOf([0, 1]) },
    apply(step, { state, builder }) {
      builder.succeed("prctl", [PR_SET_DUMPABLE, BigInt(step.value)]);
      state.credentials = { ...state.credentials, dumpable: step.value === 1 };
    },
  }),
] as const;
