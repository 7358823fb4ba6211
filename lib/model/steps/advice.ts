// SPDX-License-Identifier: MIT

import { errnoNumber } from "../../abi/errno.ts";
import { DEFAULT_SERIES, isOlder } from "../../abi/series.ts";
import { keysOf, oneOf, optional, wordSet } from "../../schema.ts";
import { NAME, OUTCOME } from "../fields.ts";
import type { Area } from "../state/area.ts";
import { flagBits, MCL } from "../state/vm_flag_rules.ts";
import type { ModelState } from "../state/model_state.ts";
import { addressRange, type AreaRun } from "../state/page_set.ts";
import { VM } from "../../abi/vm_flags.ts";
import {
  AREA_PAGES,
  definePagesStep,
  defineStep,
  sinceWords,
  SLOTS,
  type StepContext,
} from "./define_step.ts";
import { populate, requireAccess } from "./pages.ts";

/** What one advice of madvise(2) is (include/uapi/asm-generic/mman-common.h), and what it does (mm/madvise.c). */
interface Advice {
  readonly value: number;
  /** The release that brought it, where it is younger than Linux 2.6.27. */
  readonly since?: string;
  /** The vm_flags that it clears and sets. */
  readonly clear?: bigint;
  readonly set?: bigint;
  /** vm_flags of areas that refuse it, and the files that do: `any`, or all but /dev/zero. */
  readonly refusedFor?: bigint;
  readonly refusedFiles?: "any" | "real";
}

const KEPT_IN_MEMORY = VM.LOCKED | VM.HUGETLB | VM.PFNMAP;

/** Advice of madvise(2): its number, and what it does to areas. */
export const ADVICE = {
  normal: { value: 0, clear: VM.RAND_READ | VM.SEQ_READ },
  random: { value: 1, clear: VM.SEQ_READ, set: VM.RAND_READ },
  sequential: { value: 2, clear: VM.RAND_READ, set: VM.SEQ_READ },
  willneed: { value: 3 },
  dontneed: { value: 4, refusedFor: KEPT_IN_MEMORY },
  free: { value: 8, since: "4.5", refusedFor: KEPT_IN_MEMORY, refusedFiles: "real" },
  dontfork: { value: 10, set: VM.DONTCOPY },
  dofork: { value: 11, clear: VM.DONTCOPY },
  mergeable: { value: 12, since: "2.6.32", set: VM.MERGEABLE },
  unmergeable: { value: 13, since: "2.6.32", clear: VM.MERGEABLE },
  hugepage: { value: 14, since: "2.6.38", clear: VM.NOHUGEPAGE, set: VM.HUGEPAGE },
  nohugepage: { value: 15, since: "2.6.38", clear: VM.HUGEPAGE, set: VM.NOHUGEPAGE },
  dontdump: { value: 16, since: "3.4", set: VM.DONTDUMP },
  dodump: { value: 17, since: "3.4", clear: VM.DONTDUMP },
  wipeonfork: {
    ...{ value: 18, since: "4.14", set: VM.WIPEONFORK },
    ...{ refusedFor: VM.SHARED, refusedFiles: "any" },
  },
  keeponfork: { value: 19, since: "4.14", clear: VM.WIPEONFORK },
  cold: { value: 20, since: "5.4", refusedFor: KEPT_IN_MEMORY },
  pageout: { value: 21, since: "5.4", refusedFor: KEPT_IN_MEMORY },
  populate_read: { value: 22, since: "5.14" },
  populate_write: { value: 23, since: "5.14" },
  collapse: { value: 25, since: "6.1", refusedFor: VM.NOHUGEPAGE, refusedFiles: "any" },
  hwpoison: { value: 100, since: "2.6.32" },
} as const satisfies Readonly<Record<string, Advice>>;

function isRefused({ flags, file }: Area, { refusedFor = 0n, refusedFiles }: Advice): boolean {
  const isRefusedFile = file !== undefined && (refusedFiles === "any" || !file.isZeroDevice);
  return (flags & refusedFor) !== 0n || (refusedFiles !== undefined && isRefusedFile);
}

function advise(context: StepContext, { first, count, end }: AreaRun, advice: keyof typeof ADVICE): void {
  const { space, swap } = context.state;
  if (advice === "dontneed") space.dropPages(first, end);
  if (advice === "free") space.free(first, end);
  if (advice === "pageout" && swap) space.pageOut(first, end, { slowDevice: swap === "loop" });
  if (advice === "hwpoison") space.breakPages(first, end, "EHWPOISON");
  if (advice === "collapse") space.collapse(first, end);
  if (advice === "populate_write") populate(context, first, count);
  if (advice === "populate_read") { for (let page = first; page < end; page++) space.readPage(page); }
  const { clear = 0n, set = 0n }: Advice = ADVICE[advice];
  space.change(first, end, (area) => ({ ...area, flags: area.flags & ~clear | set }));
}

/** Where a disk is told to fail (CONFIG_FAIL_MAKE_REQUEST, block/blk-core.c). */
const FAILING_DISK = "/sys/block/loop0/make-it-fail";
const O_WRONLY = 1n;

/** mlock_fixup (mm/mlock.c): VM_SPECIAL and huge TLB areas are left alone. */
function withLock(flags: bigint, lock: bigint): bigint {
  if ((flags & (VM.IO | VM.DONTEXPAND | VM.PFNMAP | VM.HUGETLB)) !== 0n) return flags;
  return (flags & ~(VM.LOCKED | VM.LOCKONFAULT)) | lock;
}

/** Changes the lock of [start, end): VM_LOCKED, with VM_LOCKONFAULT or none. */
function lock({ space }: ModelState, { start, end }: { start: number; end: number }, bits: bigint): void {
  space.change(start, end, (area) => ({ ...area, flags: withLock(area.flags, bits) }));
}

function lockBss({ space }: ModelState, bits: bigint): void {
  if (space.bss) space.bss = { ...space.bss, flags: withLock(space.bss.flags, bits) };
}

/** Before Linux 5.18 mlock2 looked for pages even on fault: check_vma_flags fails where nothing may be accessed. */
function isLockable({ space, target: { series = DEFAULT_SERIES } }: ModelState, run: AreaRun): boolean {
  return !isOlder(series, "5.18") ||
    space.areasIn(run.first, run.end).every(({ flags }) => (flags & (VM.READ | VM.WRITE | VM.EXEC)) !== 0n);
}

function lockBits(flags: readonly string[] = []): bigint {
  return flags.includes("onfault") ? VM.LOCKED | VM.LOCKONFAULT : VM.LOCKED;
}

/** The steps of this family. */
export const ADVICE_STEPS = [
  definePagesStep({
    op: "name_memory",
    about: "prctl(PR_SET_VMA_ANON_NAME): gives anonymous memory a name that maps shows, or takes it away.",
    fields: { name: optional(NAME) },
    apply(run, { name }, { state, builder }) {
      const [PR_SET_VMA, PR_SET_VMA_ANON_NAME] = [0x53564d41n, 0n];
      const shown = name === undefined ? 0n : builder.scratchString(0, name);
      builder.succeed("prctl", [PR_SET_VMA, PR_SET_VMA_ANON_NAME, ...addressRange(run), shown]);
      state.space.change(run.first, run.end, (area) => ({ ...area, anonName: name }));
    },
    since: () => [{ release: "5.17", what: "by PR_SET_VMA" }],
  }),
  definePagesStep({
    op: "madvise",
    about: "madvise(2).",
    fields: { advice: oneOf(keysOf(ADVICE)), expect: optional(OUTCOME) },
    apply(run, { advice, expect = "ok" }, context) {
      const { state, builder } = context;
      // A call that fails half way has populated some pages: no scenario wants that.
      if (advice === "populate_read") requireAccess(context, run, VM.READ, "read");
      if (advice === "populate_write") requireAccess(context, run, VM.WRITE, "write");
      const areas = state.space.areasIn(run.first, run.end);
      const outcome = areas.some((area) => isRefused(area, ADVICE[advice])) ? "EINVAL" : "ok";
      if (expect !== outcome) throw new SyntaxError(`the step expects "${expect}", the model "${outcome}"`);
      const expected = outcome === "ok" ? 0n : BigInt(-errnoNumber(outcome));
      builder.syscall("madvise", [...addressRange(run), BigInt(ADVICE[advice].value)], { expected });
      if (outcome === "ok") advise(context, run, advice);
    },
    since({ advice }) {
      const { since }: Advice = ADVICE[advice];
      return since === undefined ? [] : [{ release: since, what: advice }];
    },
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
        builder.succeed("madvise", [...addressRange(run), BigInt(ADVICE.pageout.value)]);
        state.space.breakPages(run.first, run.end, "EFAULT");
      }
      const fd = { slot: SLOTS.file };
      builder.syscall("open", [builder.scratchString(0, FAILING_DISK), O_WRONLY, 0n], { keep: SLOTS.file });
      builder.syscall("write", [fd, builder.scratchString(0, "1"), 1n], { expected: 1n });
      builder.succeed("close", [fd]);
    },
  }),
  definePagesStep({
    op: "mlock",
    about: "mlock(2), or mlock2(2) with MLOCK_ONFAULT.",
    fields: { flags: optional(wordSet(["onfault"])) },
    apply(run, { flags }, context) {
      const { first, count, end } = run;
      const bits = lockBits(flags);
      const onFault = bits !== VM.LOCKED;
      lock(context.state, { start: first, end }, bits);
      // Pages that cannot be made present are an error, but the lock stays (__mlock_posix_error_return, mm/mlock.c).
      const isWhole = onFault
        ? isLockable(context.state, run)
        : populate(context, first, count, { stopsAtError: true });
      const expected = isWhole ? 0n : BigInt(-errnoNumber("ENOMEM"));
      const args = [...addressRange(run), ...onFault ? [1n] : []];
      context.builder.syscall(onFault ? "mlock2" : "mlock", args, { expected });
    },
    since: ({ flags }) => sinceWords({ onfault: "4.4" }, flags),
  }),
  definePagesStep({
    op: "munlock",
    about: "munlock(2).",
    apply(run, _step, { state, builder }) {
      lock(state, { start: run.first, end: run.end }, 0n);
      builder.succeed("munlock", addressRange(run));
    },
  }),
  defineStep({
    op: "mlockall",
    about: "mlockall(2): what is there (populated unless on fault), what is to come, or both.",
    fields: { flags: wordSet(keysOf(MCL)) },
    apply({ flags }, context) {
      const { state, builder } = context;
      builder.succeed("mlockall", [BigInt(flagBits(flags, MCL))]);
      const bits = lockBits(flags);
      state.defaultFlags = flags.includes("future") ? bits : 0n;
      if (!flags.includes("current")) return;
      state.locksOwnMemory = true;
      lockBss(state, bits);
      for (const area of [...state.space.areas]) {
        lock(state, area, bits);
        if (bits === VM.LOCKED) populate(context, area.start, area.end - area.start);
      }
    },
    since: ({ flags }) => sinceWords({ onfault: "4.4" }, flags),
  }),
  defineStep({
    op: "munlockall",
    about: "munlockall(2).",
    apply(_step, { state, builder }) {
      builder.succeed("munlockall", []);
      state.defaultFlags = 0n;
      state.locksOwnMemory = false;
      lockBss(state, 0n);
      for (const area of [...state.space.areas]) lock(state, area, 0n);
    },
  }),
] as const;
