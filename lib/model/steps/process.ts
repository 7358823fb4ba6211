// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { errnoNumber } from "../../abi/errno.ts";
import { addressOf, type StepContext } from "./step_context.ts";
import type { StepOf } from "./steps.ts";
import { protBits } from "../state/mmap_flags.ts";
import { pageCount } from "../state/page_set.ts";
import type { OpArgument } from "../target_op.ts";
import { VM, vmFlagsAfterFork, vmFlagsOfMmap } from "../state/vm_flag_rules.ts";

/**
 * fork(2): parent and child then share every anonymous page copy-on-write; one of them is the subject from
 * here on.
 */
export function forkStep(step: StepOf<"fork">, context: StepContext): void {
  const { state, builder, index } = context;
  const child = step.subject === "child";
  builder.emitWithResult({ op: "fork", mode: step.subject, id: index }, "fork()");
  state.space.sharePages(true);
  if (!child) return;
  state.ldt = state.ldt.fork();
  state.debug = state.debug.fork();
  forkedSpace(context);
}

/** dup_mmap (kernel/fork.c): what becomes of the areas in a child. */
function forkedSpace({ state }: StepContext): void {
  state.defaultFlags = 0n;
  for (const area of [...state.space.areas]) {
    if ((area.flags & VM.DONTCOPY) !== 0n) {
      state.space.unmap(area.start, area.end);
    } else {
      if ((area.flags & VM.WIPEONFORK) !== 0n) state.space.dropPages(area.start, area.end);
      state.space.change(area.start, area.end, (old) => ({
        ...old,
        flags: vmFlagsAfterFork(old.flags),
        ...(old.hasAnonVma ? { isForked: true } : {}),
      }));
    }
  }
}

/** A child that runs steps of its own and ends; the parent waits for it and goes on as the subject. */
export function inChildStep(
  step: StepOf<"in_child">,
  context: StepContext,
  runSteps: (steps: StepOf<"in_child">["steps"]) => void,
): void {
  const { state, builder, index } = context;
  // Joins are numbered so that one within another differs from it.
  const id = builder.ops.length * 1000 + index;
  builder.emitWithResult({ op: "fork", mode: "run", id }, "fork()");
  state.inCopy(() => {
    state.space.sharePages(true);
    forkedSpace(context);
    runSteps(step.steps);
  });
  builder.emit({ op: "join", id });
}

/** execve(2) of the target's own program, which goes on with the next step. */
export function execStep(_step: StepOf<"exec">, { state, builder }: StepContext): void {
  builder.emitWithResult({ op: "exec" }, "execve()", 0n);
  state.exec();
  builder.syscall("brk", [0n], {});
}

/** shmget(2) and shmat(2): a System V segment, which is shared memory. */
export function shmStep(step: StepOf<"shm">, { state, builder }: StepContext): void {
  const SHM_SLOT = 4;
  const pages = pageCount(step.pages, state.pagesPerChunk);
  // The alignment that i386 and x86-64 want is a page.
  const start = state.place(pages);
  builder.syscall("shmget", [0n, BigInt(pages) * PAGE_SIZE_BIG, 0o1600n], { keep: SHM_SLOT });
  builder.syscall("shmat", [{ slot: SHM_SLOT }, addressOf(start), 0n], { expected: addressOf(start) });
  builder.syscall("shmctl", [{ slot: SHM_SLOT }, 0n, 0n], { expected: 0n });
  state.names.set(step.area, { start, pages });
  const flags = vmFlagsOfMmap({ prot: protBits("rw"), flags: ["shared"], readOnlyFile: false });
  state.space.map({ label: step.area, start, end: start + pages, flags, pgoff: 0 });
}

/** Starts a sibling that shares the memory; the kernel code refuses such a target. */
export function threadStep(step: StepOf<"thread">, { state, builder }: StepContext): void {
  const role = step.kind === "thread" ? "thread" : undefined;
  builder.emitWithResult({ op: "thread", kind: step.kind }, `clone(CLONE_VM), ${step.kind}`, undefined, {
    role,
  });
  state.sharedWith = step.kind;
}

const NAMESPACES = { mount: 0x20000n, pid: 0x20000000n, uts: 0x4000000n } as const;

/**
 * unshare(2). In a new mount namespace the target's own program and files are still those of the old one, which
 * its root directory does not lead to; children live in a new pid namespace, the caller does not.
 */
export function unshareStep(step: StepOf<"unshare">, { state, builder }: StepContext): void {
  const flags = NAMESPACES[step.namespace];
  builder.syscall("unshare", [flags], { expected: 0n });
  if (step.namespace === "mount") state.hasOtherRoot = state.hasOwnMounts = true;
}

/** Any other system call by name, for what no step of its own covers and the model need not know. */
export function syscallStep(step: StepOf<"syscall">, { builder }: StepContext): void {
  let offset = 0;
  const args = (step.args ?? []).map((arg): OpArgument => {
    if (typeof arg === "number") return BigInt.asUintN(64, BigInt(arg));
    offset += PAGE_SIZE;
    return builder.scratchString(offset, arg);
  });
  builder.syscall(step.name, args, { expected: expectation(step.expect) });
}

function expectation(expect: number | string | undefined): bigint | undefined {
  if (expect === undefined) return undefined;
  if (typeof expect === "number") return BigInt(expect);
  return BigInt(-errnoNumber(expect));
}
