// SPDX-License-Identifier: MIT

import { PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { errnoNumber } from "../../abi/errno.ts";
import type { Area } from "../state/address_space.ts";
import { populate, requireAccess } from "./memory.ts";
import { flagBits, MADV, MCL } from "../state/mmap_flags.ts";
import { addressOf, SLOTS, type StepContext } from "./step_context.ts";
import type { StepOf } from "./steps.ts";
import { VM, vmFlagsAfterMadvise } from "../state/vm_flag_rules.ts";

/** madvise(2). */
export function madviseStep(step: StepOf<"madvise">, context: StepContext): void {
  const { state, builder } = context;
  const advice = MADV[step.advice];
  for (const { first, count } of state.runs(step.area, step.pages)) {
    // A call that fails half way has populated some pages: no scenario wants that.
    if (step.advice === "populate_read") requireAccess(context, { first, count }, VM.READ, "read");
    if (step.advice === "populate_write") requireAccess(context, { first, count }, VM.WRITE, "write");
    const areas = state.space.areas.filter((area) => area.start < first + count && area.end > first);
    const refusal = areas.some((area) => refusesAdvice(area, step.advice)) ? "EINVAL" : undefined;
    if ((step.expect ?? "ok") !== (refusal ?? "ok")) {
      throw new SyntaxError(`the step expects "${step.expect ?? "ok"}", the model "${refusal ?? "ok"}"`);
    }
    const expected = refusal ? BigInt(-errnoNumber(refusal)) : 0n;
    builder.syscall("madvise", [addressOf(first), BigInt(count) * PAGE_SIZE_BIG, BigInt(advice)], {
      expected,
    });
    if (!refusal) advise(context, { first, count, advice: step.advice });
  }
}

/** madvise_vma_behavior (mm/madvise.c): what an area cannot be advised. */
function refusesAdvice(area: Area, advice: string): boolean {
  const isAnonymous = !area.file || area.file.isZeroDevice;
  switch (advice) {
    case "dontneed":
    case "free":
      if (advice === "free" && !isAnonymous) return true;
      return (area.flags & (VM.LOCKED | VM.HUGETLB | VM.PFNMAP)) !== 0n;
    case "cold":
    case "pageout":
      return (area.flags & (VM.LOCKED | VM.HUGETLB | VM.PFNMAP)) !== 0n;
    case "wipeonfork":
      return area.file !== undefined || (area.flags & VM.SHARED) !== 0n;
    default:
      return false;
  }
}

function advise(
  context: StepContext,
  { first, count, advice }: { first: number; count: number; advice: string },
): void {
  const { space, swap } = context.state;
  const end = first + count;
  if (advice === "dontneed") space.dropPages(first, end);
  if (advice === "free") space.free(first, end);
  if (advice === "pageout" && swap) space.pageOut(first, end, { slowDevice: swap === "loop" });
  if (advice === "hwpoison") space.breakPages(first, end, "EHWPOISON");
  if (advice === "populate_write") populate(context, first, count);
  if (advice === "populate_read") { for (let page = first; page < end; page++) space.readPage(page); }
  space.change(first, end, (area) => ({ ...area, flags: vmFlagsAfterMadvise(area.flags, advice) }));
}

/** Where a disk is told to fail (CONFIG_FAIL_MAKE_REQUEST, block/blk-core.c). */
const FAILING_DISK = "/sys/block/loop0/make-it-fail";
const O_WRONLY = 1n;

/**
 * Pages go to swap, and from then on the swap device cannot be read. They must have been read back from swap before,
 * and be settled: then they go at once, since what they hold lies there already.
 */
export function breakSwapStep(step: StepOf<"break_swap">, { state, builder }: StepContext): void {
  if (state.swap !== "loop") throw new SyntaxError(`"break_swap" needs the set-up step {"swap": "loop"}`);
  for (const { first, count } of state.runs(step.area, step.pages)) {
    const advice = [addressOf(first), BigInt(count) * PAGE_SIZE_BIG, BigInt(MADV.pageout)];
    builder.syscall("madvise", advice, { expected: 0n });
    state.space.breakPages(first, first + count, "EFAULT");
  }
  const fd = { slot: SLOTS.file };
  builder.syscall("open", [builder.scratchString(0, FAILING_DISK), O_WRONLY, 0n], { keep: SLOTS.file });
  builder.syscall("write", [fd, builder.scratchString(0, "1"), 1n], { expected: 1n });
  builder.syscall("close", [fd], { expected: 0n });
}

/** mlock(2), mlock2(2) with MLOCK_ONFAULT, and munlock(2). */
export function mlockStep(step: StepOf<"mlock" | "munlock">, context: StepContext): void {
  const { state, builder } = context;
  const onFault = step.op === "mlock" && (step.flags ?? []).includes("onfault");
  const add = step.op === "munlock" ? 0n : onFault ? VM.LOCKED | VM.LOCKONFAULT : VM.LOCKED;
  for (const { first, count } of state.runs(step.area, step.pages)) {
    const range = [addressOf(first), BigInt(count) * PAGE_SIZE_BIG];
    state.space.change(first, first + count, (area) => ({ ...area, flags: withLock(area.flags, add) }));
    const populates = step.op === "mlock" && !onFault;
    // Pages that cannot be made present are an error, but the lock stays (__mlock_posix_error_return, mm/mlock.c).
    const isWhole = !populates || populate(context, first, count, { stopsAtError: true });
    const expected = isWhole ? 0n : BigInt(-errnoNumber("ENOMEM"));
    if (onFault) builder.syscall("mlock2", [...range, 1n], { expected });
    else builder.syscall(step.op, range, { expected });
  }
}

/** mlockall(2): areas that are there (and populated at once, unless on fault), those to come, or both. */
export function mlockAllStep(step: StepOf<"mlockall">, context: StepContext): void {
  const { state, builder } = context;
  const flags = flagBits(step.flags, MCL);
  builder.syscall("mlockall", [BigInt(flags)], { expected: 0n });
  const lock = step.flags.includes("onfault") ? VM.LOCKED | VM.LOCKONFAULT : VM.LOCKED;
  state.defaultFlags = step.flags.includes("future") ? lock : 0n;
  if (!step.flags.includes("current")) return;
  for (const { start, end } of [...state.space.areas]) {
    state.space.change(start, end, (area) => ({ ...area, flags: withLock(area.flags, lock) }));
    if (lock === VM.LOCKED) populate(context, start, end - start);
  }
}

/** munlockall(2). */
export function munlockAllStep(_step: StepOf<"munlockall">, { state, builder }: StepContext): void {
  builder.syscall("munlockall", [], { expected: 0n });
  state.defaultFlags = 0n;
  for (const { start, end } of [...state.space.areas]) {
    state.space.change(start, end, (area) => ({ ...area, flags: withLock(area.flags, 0n) }));
  }
}

/** mlock_fixup (mm/mlock.c): VM_SPECIAL and huge TLB areas are left alone. */
function withLock(flags: bigint, lock: bigint): bigint {
  if ((flags & (VM.IO | VM.DONTEXPAND | VM.PFNMAP | VM.HUGETLB)) !== 0n) return flags;
  return (flags & ~(VM.LOCKED | VM.LOCKONFAULT)) | lock;
}
