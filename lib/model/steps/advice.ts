// SPDX-License-Identifier: MIT

import { errnoNumber } from "../../abi/errno.ts";
import { keysOf, oneOf, optional, wordSet } from "../../schema.ts";
import { OUTCOME } from "../fields.ts";
import type { Area } from "../state/address_space.ts";
import { flagBits, MADV, MCL } from "../state/mmap_flags.ts";
import { addressRange, type PageRun } from "../state/page_set.ts";
import { VM, vmFlagsAfterMadvise } from "../state/vm_flag_rules.ts";
import { AREA_PAGES, defineStep, sinceWords } from "./define_step.ts";
import { populate, requireAccess } from "./pages.ts";
import { SLOTS, type StepContext } from "./step_context.ts";

/** Advice that is younger than Linux 2.6.27. */
const SINCE_ADVICE: Readonly<Record<string, string>> = {
  hwpoison: "2.6.32",
  mergeable: "2.6.32",
  unmergeable: "2.6.32",
  hugepage: "2.6.38",
  nohugepage: "2.6.38",
  dontdump: "3.4",
  dodump: "3.4",
  free: "4.5",
  wipeonfork: "4.14",
  keeponfork: "4.14",
  cold: "5.4",
  pageout: "5.4",
  populate_read: "5.14",
  populate_write: "5.14",
};

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

function advise(context: StepContext, { first, count }: PageRun, advice: string): void {
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

/** mlock_fixup (mm/mlock.c): VM_SPECIAL and huge TLB areas are left alone. */
function withLock(flags: bigint, lock: bigint): bigint {
  if ((flags & (VM.IO | VM.DONTEXPAND | VM.PFNMAP | VM.HUGETLB)) !== 0n) return flags;
  return (flags & ~(VM.LOCKED | VM.LOCKONFAULT)) | lock;
}

/** The steps of this family. */
export const ADVICE_STEPS = [
  defineStep({
    op: "madvise",
    about: "madvise(2).",
    fields: { ...AREA_PAGES, advice: oneOf(keysOf(MADV)), expect: optional(OUTCOME) },
    apply(step, context) {
      const { state, builder } = context;
      const advice = MADV[step.advice];
      for (const run of state.runs(step.area, step.pages)) {
        // A call that fails half way has populated some pages: no scenario wants that.
        if (step.advice === "populate_read") requireAccess(context, run, VM.READ, "read");
        if (step.advice === "populate_write") requireAccess(context, run, VM.WRITE, "write");
        const end = run.first + run.count;
        const areas = state.space.areas.filter((area) => area.start < end && area.end > run.first);
        const refusal = areas.some((area) => refusesAdvice(area, step.advice)) ? "EINVAL" : undefined;
        if ((step.expect ?? "ok") !== (refusal ?? "ok")) {
          throw new SyntaxError(`the step expects "${step.expect ?? "ok"}", the model "${refusal ?? "ok"}"`);
        }
        const expected = refusal ? BigInt(-errnoNumber(refusal)) : 0n;
        builder.syscall("madvise", [...addressRange(run), BigInt(advice)], { expected });
        if (!refusal) advise(context, run, step.advice);
      }
    },
    since: ({ advice }) => sinceWords(SINCE_ADVICE, [advice]),
  }),
  defineStep({
    op: "break_swap",
    about: "Pages go to swap, whose device cannot be read from then on.",
    fields: AREA_PAGES,
    apply(step, { state, builder }) {
      // They must have been read back from swap before, and be settled: then they go at once, since what they hold
      // lies there already.
      if (state.swap !== "loop") throw new SyntaxError(`"break_swap" needs the set-up step {"swap": "loop"}`);
      for (const run of state.runs(step.area, step.pages)) {
        builder.succeed("madvise", [...addressRange(run), BigInt(MADV.pageout)]);
        state.space.breakPages(run.first, run.first + run.count, "EFAULT");
      }
      const fd = { slot: SLOTS.file };
      builder.syscall("open", [builder.scratchString(0, FAILING_DISK), O_WRONLY, 0n], { keep: SLOTS.file });
      builder.syscall("write", [fd, builder.scratchString(0, "1"), 1n], { expected: 1n });
      builder.succeed("close", [fd]);
    },
  }),
  defineStep({
    op: "mlock",
    about: "mlock(2), or mlock2(2) with MLOCK_ONFAULT.",
    fields: { ...AREA_PAGES, flags: optional(wordSet(["onfault"])) },
    apply(step, context) {
      const { state, builder } = context;
      const onFault = step.flags?.includes("onfault") ?? false;
      const add = onFault ? VM.LOCKED | VM.LOCKONFAULT : VM.LOCKED;
      for (const run of state.runs(step.area, step.pages)) {
        const { first, count } = run;
        state.space.change(first, first + count, (area) => ({ ...area, flags: withLock(area.flags, add) }));
        // Pages that cannot be made present are an error, but the lock stays (__mlock_posix_error_return, mm/mlock.c).
        const isWhole = onFault || populate(context, first, count, { stopsAtError: true });
        const expected = isWhole ? 0n : BigInt(-errnoNumber("ENOMEM"));
        if (onFault) builder.syscall("mlock2", [...addressRange(run), 1n], { expected });
        else builder.syscall("mlock", addressRange(run), { expected });
      }
    },
    since: ({ flags }) => sinceWords({ onfault: "4.4" }, flags),
  }),
  defineStep({
    op: "munlock",
    about: "munlock(2).",
    fields: AREA_PAGES,
    apply(step, { state, builder }) {
      for (const run of state.runs(step.area, step.pages)) {
        const { first, count } = run;
        state.space.change(first, first + count, (area) => ({ ...area, flags: withLock(area.flags, 0n) }));
        builder.succeed("munlock", addressRange(run));
      }
    },
  }),
  defineStep({
    op: "mlockall",
    about: "mlockall(2): what is there (populated unless on fault), what is to come, or both.",
    fields: { flags: wordSet(keysOf(MCL)) },
    apply(step, context) {
      const { state, builder } = context;
      const flags = flagBits(step.flags, MCL);
      builder.succeed("mlockall", [BigInt(flags)]);
      const lock = step.flags.includes("onfault") ? VM.LOCKED | VM.LOCKONFAULT : VM.LOCKED;
      state.defaultFlags = step.flags.includes("future") ? lock : 0n;
      if (!step.flags.includes("current")) return;
      state.locksOwnMemory = true;
      for (const { start, end } of [...state.space.areas]) {
        state.space.change(start, end, (area) => ({ ...area, flags: withLock(area.flags, lock) }));
        if (lock === VM.LOCKED) populate(context, start, end - start);
      }
    },
    since: ({ flags }) => sinceWords({ onfault: "4.4" }, flags),
  }),
  defineStep({
    op: "munlockall",
    about: "munlockall(2).",
    fields: {},
    apply(_step, { state, builder }) {
      builder.succeed("munlockall", []);
      state.defaultFlags = 0n;
      state.locksOwnMemory = false;
      for (const { start, end } of [...state.space.areas]) {
        state.space.change(start, end, (area) => ({ ...area, flags: withLock(area.flags, 0n) }));
      }
    },
  }),
] as const;
