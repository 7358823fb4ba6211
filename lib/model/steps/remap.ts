// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { errnoNumber } from "../../abi/errno.ts";
import { DEFAULT_SERIES, isOlder } from "../../abi/series.ts";
import { integer, oneOf, optional, wordSet } from "../../schema.ts";
import { NAME, PAGE_COUNT, SEED } from "../fields.ts";
import type { Area } from "../state/area.ts";
import { protBits, PROTECTIONS, vmFlagsOfMmap } from "../state/vm_flag_rules.ts";
import { addressOf, addressRange } from "../state/page_set.ts";
import { VM } from "../../abi/vm_flags.ts";
import { syscallNumber } from "../syscall_numbers.ts";
import type { OpArgument } from "../target_op.ts";
import { ADVICE } from "./advice.ts";
import { AREA_PAGES, defineStep, type Since, sinceWords, type StepContext } from "./define_step.ts";
import { fillRuns, populate, requireUnsealed } from "./pages.ts";

const MREMAP_MAYMOVE = 1n;
const MREMAP_FIXED = 2n;
const MREMAP_DONTUNMAP = 4n;

/** Before, the page fault handler refused user accesses more than 64 KiB below the stack pointer. */
const FAR_BELOW_SP: Since = { release: "5.0", what: "by an access far below the stack pointer" };

/** What RLIMIT_STACK's 8 MiB leave beside what the stack has from the start. */
const MAX_STACK_PAGES = 1980;

interface Move {
  readonly area: Area;
  readonly first: number;
  readonly count: number;
  readonly size: number;
  readonly keepsSource: boolean;
}

function resizeInPlace({ area, first, count, size }: Move, name: string, context: StepContext): void {
  const { state, builder } = context;
  if (first + count !== area.end) throw new RangeError("mremap without a move must end with its area");
  const next = state.space.areas.find((other) => other.start >= area.end);
  if (next && first + size > next.start) {
    throw new RangeError(`the area would grow into "${next.label}": the call would fail (ENOMEM)`);
  }
  builder.syscall("mremap", [...[first, count, size].map(addressOf), 0n], { expected: addressOf(first) });
  const end = first + size;
  if (size < count) state.space.unmap(end, first + count);
  else {
    state.space.change(area.start, area.end, (old) => ({ ...old, end }));
    if ((area.flags & (VM.LOCKED | VM.LOCKONFAULT)) === VM.LOCKED) {
      populate(context, first + count, size - count);
    }
  }
  const range = state.range(name);
  state.names.set(name, { start: range.start, pages: end - range.start });
}

function moveArea(move: Move & { to: number; label: string }, context: StepContext): void {
  const { area, first, count, size, keepsSource, to, label } = move;
  const { state, builder } = context;
  const { space } = state;
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keepsSource ? MREMAP_DONTUNMAP : 0n);
  const expected = addressOf(to);
  builder.syscall("mremap", [...[first, count, size].map(addressOf), flags, expected], { expected });
  // copy_vma (mm/mmap.c): anonymous memory keeps its vm_pgoff only if a page was ever made there.
  const isAnonymous = !area.file || (area.file.isZeroDevice && state.target.series !== "2.6.28");
  const pgoff = isAnonymous && !area.hasAnonVma ? to : area.pgoff + first - area.start;
  const moved = { ...area, label, start: to, end: to + size, pgoff, isApart: false };
  if (size < count) space.dropPages(first + size, first + count);
  space.map(moved);
  space.movePages(first, Math.min(count, size), to);
  if (!keepsSource) space.unmap(first, first + count);
  else leaveBehind(context, first, first + count);
  if ((area.flags & (VM.LOCKED | VM.LOCKONFAULT)) === VM.LOCKED) populate(context, to, size);
}

/**
 * The source of a move with MREMAP_DONTUNMAP (move_vma in mm/mremap.c): the VMA that it lies in is unlocked, all of it,
 * and one that has moved as a whole is as if never touched, but for its vm_pgoff before Linux 6.12. In Linux 5.10 it
 * keeps what it was, and if both sides of it stay, the next one is accounted like it; Linux 6.12 splits a locked one
 * before: that is always whole.
 */
function leaveBehind({ state: { space, target } }: StepContext, start: number, end: number): void {
  const vma = space.vmaAt(start);
  const isLocked = ((space.areaAt(start)?.flags ?? 0n) & VM.LOCKED) !== 0n;
  const isSplit = target.series === "6.12" && isLocked;
  const source = isSplit ? { start, end } : vma;
  const isWhole = source.start === start && source.end === end;
  space.change(source.start, source.end, (old) => {
    const flags = old.flags & ~(VM.LOCKED | VM.LOCKONFAULT);
    if (target.series === "5.10" || !isWhole) return { ...old, flags };
    const pgoff = target.series === "6.12" && !old.file ? old.start : old.pgoff;
    return { ...old, flags, hasAnonVma: false, pgoff };
  });
  const next = space.areas.find((area) => area.start >= vma.end);
  const isCounted = ((space.areaAt(start)?.flags ?? 0n) & VM.ACCOUNT) !== 0n;
  if (target.series === "5.10" && isCounted && vma.start < start && end < vma.end && next) {
    const { start, end } = space.vmaAt(next.start);
    space.change(start, end, (old) => ({ ...old, flags: old.flags | VM.ACCOUNT }));
  }
}

const AT_SYSINFO_EHDR = 33;
const VDSO_SLOT = 3;
/** Four pages in Linux 6.1: arch/x86/entry/vdso/vdso-layout.lds.S. */
const VVAR_BYTES = 0x4000;
/** It depends on the configuration how many its image has. */
const MAX_VDSO_PAGES = 2;

/** Where the vdso is, or what lies some bytes from there, in a slot. */
function findVdso({ builder }: StepContext, bytes = 0): OpArgument {
  const op = { op: "auxv", type: AT_SYSINFO_EHDR, keep: VDSO_SLOT } as const;
  builder.emitWithResult(bytes === 0 ? op : { ...op, plus: BigInt(bytes) }, "auxv AT_SYSINFO_EHDR");
  return { slot: VDSO_SLOT };
}

/** The steps of this family. */
export const REMAP_STEPS = [
  defineStep({
    op: "mremap",
    about: "mremap(2): with 'to' it moves, without it grows or shrinks where it is.",
    fields: {
      ...AREA_PAGES,
      to: optional(NAME),
      size: optional(PAGE_COUNT),
      flags: optional(wordSet(["dontunmap"])),
    },
    apply(step, context) {
      const { state } = context;
      const run = state.runs(step.area, step.pages);
      if (run.length !== 1) throw new RangeError(`mremap takes one run of pages: found "${step.pages}"`);
      const { first, count } = run[0]!;
      const area = state.space.areaAt(first);
      if (!area || area.end < first + count) throw new RangeError("mremap takes pages of one area");
      const size = step.size === undefined ? count : state.pageCount(step.size);
      requireUnsealed(state.space, { first, count });
      if (count === 0 || size === 0) throw new RangeError("mremap of or to 0 pages fails (EINVAL)");
      const move = { area, first, count, size, keepsSource: step.flags !== undefined };
      if (step.to === undefined) return resizeInPlace(move, step.area, context);
      const to = state.place(size);
      moveArea({ ...move, to, label: step.to }, context);
      state.nameArea(step.to, { start: to, pages: size });
    },
    since: ({ flags }) => sinceWords({ dontunmap: "5.7" }, flags),
  }),
  defineStep({
    op: "brk",
    about: "brk(2): makes the heap so many pages long, or as long as that from then on.",
    fields: {
      area: NAME,
      pages: PAGE_COUNT,
      bytes: optional(integer(1, PAGE_SIZE - 1), "The break lies so many bytes into the last of them."),
    },
    apply(step, context) {
      const { state, builder } = context;
      const { space } = state;
      const pages = state.pageCount(step.pages);
      const start = Number(state.target.heapStart / PAGE_SIZE_BIG);
      const before = state.names.get(step.area);
      if (before && before.start !== start) throw new RangeError(`Area "${step.area}" exists already`);
      const oldPages = state.heapPages;
      for (let page = start + pages; page < start + oldPages; page++) {
        if (!space.areaAt(page)) {
          throw new RangeError("the end of the heap is not mapped: brk would not lower it");
        }
      }
      if (pages === 0 && step.bytes) throw new RangeError(`"bytes" of a heap that has no page`);
      const end = addressOf(start + pages) - BigInt(step.bytes ? PAGE_SIZE - step.bytes : 0);
      builder.syscall("brk", [end], { expected: end });
      if (pages < oldPages) space.unmap(start + pages, start + oldPages);
      const flags = vmFlagsOfMmap({ prot: protBits("rw"), flags: [], readOnlyFile: false }) |
        state.defaultFlags;
      if (pages > oldPages) {
        const from = start + oldPages;
        // Since Linux 6.1 (brk, mm/mmap.c) the first page of a heap is not tried with what lies before it.
        const { series = DEFAULT_SERIES } = state.target;
        const isApart = oldPages === 0 && !isOlder(series, "6.1");
        space.map({ label: step.area, start: from, end: start + pages, flags, pgoff: from, isApart });
        if ((flags & (VM.LOCKED | VM.LOCKONFAULT)) === VM.LOCKED) populate(context, from, pages - oldPages);
      }
      state.heapPages = pages;
      state.names.set(step.area, { start, pages });
    },
  }),
  defineStep({
    op: "stack",
    about: "Grows the stack by writing below it: pages count upwards from the lowest one written.",
    fields: { area: NAME, pages: PAGE_COUNT, seed: optional(SEED) },
    apply(step, context) {
      const { state } = context;
      const pages = state.pageCount(step.pages);
      const INITIAL_STACK_PAGES = 40;
      const start = Number(state.target.stackTop / PAGE_SIZE_BIG) - INITIAL_STACK_PAGES - pages;
      if (pages > MAX_STACK_PAGES) {
        throw new RangeError(
          `a stack has at most ${MAX_STACK_PAGES} pages more (RLIMIT_STACK): found ${pages}`,
        );
      }
      state.nameArea(step.area, { start, pages });
      fillRuns(context, [{ first: start, count: pages }], step.seed, "written below the stack pointer");
    },
    since: () => [FAR_BELOW_SP],
  }),
  defineStep({
    op: "protect_stack",
    about: "mprotect(2) of pages that a step `stack` made: they become a VMA of their own.",
    fields: { ...AREA_PAGES, prot: oneOf(PROTECTIONS) },
    apply(step, { state, builder }) {
      for (const run of state.runs(step.area, step.pages)) {
        builder.succeed("mprotect", [...addressRange(run), BigInt(protBits(step.prot))]);
      }
    },
  }),
  defineStep({
    op: "grow_down",
    about: "Grows a MAP_GROWSDOWN area by writing to the pages right below it.",
    fields: { area: NAME, pages: PAGE_COUNT, as: NAME, seed: optional(SEED) },
    apply(step, context) {
      const { state } = context;
      const pages = state.pageCount(step.pages);
      const first = state.runs(step.area, 0)[0]!.first;
      const area = state.space.areaAt(first);
      if (!area || area.start !== first || (area.flags & VM.GROWSDOWN) === 0n) {
        throw new RangeError(`Area "${step.area}" cannot grow down: map it with the flag growsdown`);
      }
      const start = first - pages;
      // expand_downwards (mm/mmap.c) makes the anon_vma, and moves vm_pgoff down with the start.
      const grown = { start, pgoff: area.pgoff - pages, hasAnonVma: true };
      state.space.change(area.start, area.end, (old) => ({ ...old, ...grown }));
      state.nameArea(step.as, { start, pages });
      // From the top down, as a stack grows: each store is right below what is mapped.
      for (let page = first - 1; page >= start; page--) {
        fillRuns(context, [{ first: page, count: 1 }], step.seed, "written below a growing area");
      }
    },
    since: () => [FAR_BELOW_SP],
  }),
  defineStep({
    op: "munmap_vvar",
    about: "Unmaps [vvar], the pages right below [vdso].",
    apply(_step, context) {
      context.builder.succeed("munmap", [findVdso(context, -VVAR_BYTES), BigInt(VVAR_BYTES)]);
    },
    since: () => [{ release: "3.16", what: "of a vvar mapping" }],
  }),
  defineStep({
    op: "advise_vdso",
    about: "madvise(2) of [vdso]; MADV_DONTFORK by default.",
    fields: { advice: optional(oneOf(["dontfork", "random"])) },
    apply({ advice = "dontfork" }, context) {
      const { builder } = context;
      const args = [findVdso(context), addressOf(MAX_VDSO_PAGES), BigInt(ADVICE[advice].value)];
      const nr = syscallNumber("madvise", builder.wordSize);
      // A part of it cannot be had (special_mapping_split), and of what is not mapped the kernel tells in the end.
      const orElse = BigInt(-errnoNumber("ENOMEM"));
      builder.emitWithResult({ op: "syscall", nr, args }, "madvise of the vdso", 0n, { orElse });
    },
  }),
  defineStep({
    op: "munmap_vdso",
    about: "Unmaps [vdso], wherever the kernel put it: nothing else lies within 16 pages above.",
    apply(_step, context) {
      context.builder.succeed("munmap", [findVdso(context), 0x10000n]);
      const { copied } = context.state;
      for (const [key, { place }] of copied) if (place === "vdso") copied.delete(key);
    },
  }),
  defineStep({
    op: "move_vdso",
    about: "mremap(2) of [vdso] as a whole: the kernel notes where it is then.",
    apply(_step, context) {
      const { state, builder } = context;
      const to = addressOf(state.place(MAX_VDSO_PAGES));
      const vdso = findVdso(context);
      // The kernel moves it as a whole or not at all: of too many pages it says EFAULT, and so it does once it is gone.
      for (let pages = MAX_VDSO_PAGES; pages > 0; pages--) {
        const size = addressOf(pages);
        const args = [vdso, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to];
        const nr = syscallNumber("mremap", builder.wordSize);
        const orElse = BigInt(-errnoNumber("EFAULT"));
        builder.emitWithResult({ op: "syscall", nr, args }, `mremap of a vdso of ${pages} pages`, to, {
          orElse,
        });
      }
    },
    since: () => [{ release: "4.8", what: "of a vdso" }],
  }),
] as const;
