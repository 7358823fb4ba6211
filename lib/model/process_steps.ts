// SPDX-License-Identifier: MIT

import { errnoNumber } from "../abi/errno.ts";
import type { Step } from "./scenario.ts";
import type { StepContext } from "./step_context.ts";
import { isSyscallName } from "./syscall_numbers.ts";
import type { OpArgument } from "./target_op.ts";
import { VM, vmFlagsAfterFork } from "./vm_flag_rules.ts";

type StepOf<Op extends Step["op"]> = Extract<Step, { op: Op }>;

/** fork(2): parent and child then share every anonymous page copy-on-write; one of them is the subject from here on. */
export function forkStep(step: StepOf<"fork">, { state, builder, index }: StepContext): void {
  if (step.subject !== "child" && step.subject !== "parent") {
    throw new SyntaxError(`The subject of a fork must be "child" or "parent": found "${step.subject}"`);
  }
  const child = step.subject === "child";
  builder.emitWithResult({ op: "fork", mode: step.subject, id: index }, "fork()");
  if (!child) return;
  state.ldt = state.ldt.fork();
  for (const area of [...state.space.areas]) {
    if ((area.flags & VM.DONTCOPY) !== 0n) {
      state.space.unmap(area.start, area.end);
    } else {
      if ((area.flags & VM.WIPEONFORK) !== 0n) state.space.dropPages(area.start, area.end);
      state.space.change(area.start, area.end, (old) => ({ ...old, flags: vmFlagsAfterFork(old.flags) }));
    }
  }
}

/** Starts a sibling that shares the memory; the kernel code refuses such a target. */
export function threadStep(step: StepOf<"thread">, { state, builder }: StepContext): void {
  if (step.kind !== "thread" && step.kind !== "process") {
    throw new SyntaxError(`The kind of a thread must be "thread" or "process": found "${step.kind}"`);
  }
  builder.emitWithResult({ op: "thread", kind: step.kind }, `clone(CLONE_VM), ${step.kind}`);
  state.sharedWith = step.kind;
}

/** Any other system call by name, for what no step of its own covers and the model need not know. */
export function syscallStep(step: StepOf<"syscall">, { builder }: StepContext): void {
  if (!isSyscallName(step.name)) throw new SyntaxError(`No system call "${step.name}" is known to scenarios`);
  let offset = 0;
  const args = (step.args ?? []).map((arg): OpArgument => {
    if (typeof arg === "number") return BigInt.asUintN(64, BigInt(arg));
    offset += 4096;
    return builder.scratchString(offset, arg);
  });
  builder.syscall(step.name, args, { expected: expectation(step.expect) });
}

function expectation(expect: number | string | undefined): bigint | undefined {
  if (expect === undefined) return undefined;
  if (typeof expect === "number") return BigInt(expect);
  return BigInt(-errnoNumber(expect));
}
