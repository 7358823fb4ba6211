// SPDX-License-Identifier: MIT

import { flagBits, MADV, MAP_FLAGS, protBits } from "./mmap_flags.ts";
import { contentBytes, describeContent, fillContent, withStore, ZERO_CONTENT } from "./page_content.ts";
import { pageCount } from "./page_set.ts";
import type { Step } from "./scenario.ts";
import { addressOf, defaultSeed, PAGE_SIZE, type StepContext } from "./step_context.ts";
import type { OpArgument } from "./target_op.ts";
import {
  populateWrites,
  VM,
  vmFlagsAfterMadvise,
  vmFlagsAfterMprotect,
  vmFlagsOfMmap,
} from "./vm_flag_rules.ts";

type StepOf<Op extends Step["op"]> = Extract<Step, { op: Op }>;

const O_RDONLY = 0n;
const O_RDWR = 2n;
const FILE_SLOT = 1;
const NO_FILE = 0xffffffffffffffffn;

/** Adds the call that maps pages at a fixed place: mmap on x86-64, mmap2 (offset in pages) on i386. */
export function emitMmap(
  { builder }: StepContext,
  options: { page: number; pages: number; prot: number; flags: number; fd: OpArgument; offset: number },
): void {
  const wide = builder.wordSize === 8;
  const address = addressOf(options.page);
  builder.syscall(wide ? "mmap" : "mmap2", [
    address,
    BigInt(options.pages) * 4096n,
    BigInt(options.prot),
    BigInt(options.flags | MAP_FLAGS.fixed_noreplace!),
    options.fd,
    BigInt(wide ? options.offset * PAGE_SIZE : options.offset),
  ], { expected: address });
}

/** mmap(2). */
export function mmapStep(step: StepOf<"mmap">, context: StepContext): void {
  const { state, builder } = context;
  if (state.names.has(step.area)) throw new RangeError(`Area "${step.area}" exists already`);
  const pages = pageCount(step.pages, state.pagesPerChunk);
  const words = step.flags ?? [];
  const prot = protBits(step.prot ?? "rw");
  const start = state.place(pages, step);
  let flags = flagBits(words.filter((word) => word !== "readonly_file"), MAP_FLAGS, "mmap flag");
  if (!words.includes("shared")) flags |= MAP_FLAGS.private!;
  const readOnlyFile = words.includes("readonly_file");
  let fd: OpArgument = NO_FILE;
  const file = step.file === undefined ? undefined : state.file(step.file);
  if (file) {
    const path = builder.scratchString(0, file.path);
    builder.syscall("open", [path, readOnlyFile ? O_RDONLY : O_RDWR, 0n], { keep: FILE_SLOT });
    fd = { slot: FILE_SLOT };
  } else {
    flags |= MAP_FLAGS.anonymous!;
  }
  const offset = step.offset ?? 0;
  emitMmap(context, { page: start, pages, prot, flags, fd, offset });
  if (file) builder.syscall("close", [{ slot: FILE_SLOT }], { expected: 0n });
  const vmFlags = vmFlagsOfMmap({ prot, flags: words, readOnlyFile });
  state.names.set(step.area, { start, pages });
  state.space.map({
    label: step.area,
    start,
    end: start + pages,
    flags: vmFlags,
    pgoff: file ? offset : start,
    file,
  });
  if (words.includes("populate") || words.includes("locked")) populate(context, start, pages);
}

/** What MAP_POPULATE, MAP_LOCKED and mlock do to the pages of one area. */
function populate({ state }: StepContext, first: number, count: number): void {
  for (let page = first; page < first + count; page++) {
    const area = state.space.areaAt(page);
    if (!area || (area.flags & (VM.READ | VM.WRITE | VM.EXEC)) === 0n) continue;
    if (area.file && area.pgoff + page - area.start >= area.file.pages) continue;
    if (!populateWrites(area.flags)) state.space.readPage(page);
    else if (!state.space.pages.has(page)) {
      state.space.setPage(page, state.space.contentAt(page), "populated by a write fault");
    }
  }
}

/** munmap(2). */
export function munmapStep(step: StepOf<"munmap">, { state, builder }: StepContext): void {
  for (const { first, count } of state.runs(step.area, step.pages)) {
    builder.syscall("munmap", [addressOf(first), BigInt(count) * 4096n], { expected: 0n });
    state.space.unmap(first, first + count);
  }
}

/** mprotect(2). */
export function mprotectStep(step: StepOf<"mprotect">, { state, builder }: StepContext): void {
  const prot = protBits(step.prot);
  for (const { first, count } of state.runs(step.area, step.pages)) {
    builder.syscall("mprotect", [addressOf(first), BigInt(count) * 4096n, BigInt(prot)], { expected: 0n });
    state.space.change(
      first,
      first + count,
      (area) => ({ ...area, flags: vmFlagsAfterMprotect(area.flags, prot) }),
    );
  }
}

/** madvise(2). */
export function madviseStep(step: StepOf<"madvise">, context: StepContext): void {
  const { state, builder } = context;
  const advice = flagBits([step.advice], MADV, "advice");
  for (const { first, count } of state.runs(step.area, step.pages)) {
    builder.syscall("madvise", [addressOf(first), BigInt(count) * 4096n, BigInt(advice)], { expected: 0n });
    if (step.advice === "dontneed") state.space.dropPages(first, first + count);
    if (step.advice.startsWith("populate")) populate(context, first, count);
    state.space.change(first, first + count, (area) => ({
      ...area,
      flags: vmFlagsAfterMadvise(area.flags, step.advice),
    }));
  }
}

/** mlock(2) and munlock(2). */
export function mlockStep(step: StepOf<"mlock" | "munlock">, context: StepContext): void {
  const { state, builder } = context;
  for (const { first, count } of state.runs(step.area, step.pages)) {
    builder.syscall(step.op, [addressOf(first), BigInt(count) * 4096n], { expected: 0n });
    const lock = step.op === "mlock";
    state.space.change(first, first + count, (area) => ({
      ...area,
      flags: lock ? area.flags | VM.LOCKED : area.flags & ~VM.LOCKED,
    }));
    if (lock) populate(context, first, count);
  }
}

/** mremap(2) to a place of the model's choosing. */
export function mremapStep(step: StepOf<"mremap">, { state, builder }: StepContext): void {
  const run = state.runs(step.area, step.pages);
  if (run.length !== 1) throw new RangeError(`mremap takes one run of pages: found "${step.pages}"`);
  const { first, count } = run[0]!;
  const size = step.size === undefined ? count : pageCount(step.size, state.pagesPerChunk);
  const to = state.place(size);
  const MREMAP_MAYMOVE_FIXED = 3n;
  builder.syscall("mremap", [
    addressOf(first),
    BigInt(count) * 4096n,
    BigInt(size) * 4096n,
    MREMAP_MAYMOVE_FIXED,
    addressOf(to),
  ], { expected: addressOf(to) });
  const area = state.space.areaAt(first);
  if (!area || area.end < first + count) throw new RangeError("mremap takes pages of one area");
  // copy_vma (mm/mmap.c): an anonymous area keeps its vm_pgoff only if a page was ever written there.
  const wrote = [...state.space.pages.keys()].some((page) => page >= area.start && page < area.end);
  const pgoff = area.file || wrote ? area.pgoff + first - area.start : to;
  const moved = { ...area, label: step.to, start: to, end: to + size, pgoff };
  const pages = [...state.space.pages].filter(([page]) =>
    page >= first && page < first + Math.min(count, size)
  );
  state.space.unmap(first, first + count);
  state.space.map(moved);
  for (const [page, anon] of pages) {
    state.space.setPage(page - first + to, anon.content, `${anon.why}, then moved`);
  }
  state.names.set(step.to, { start: to, pages: size });
}

/** brk(2): grows the heap. */
export function brkStep(step: StepOf<"brk">, { state, builder }: StepContext): void {
  const pages = pageCount(step.pages, state.pagesPerChunk);
  const start = Number(state.target.heapStart / 4096n);
  if (state.names.has(step.area)) throw new RangeError(`Area "${step.area}" exists already`);
  builder.syscall("brk", [addressOf(start + pages)], { expected: addressOf(start + pages) });
  state.names.set(step.area, { start, pages });
  const flags = vmFlagsOfMmap({ prot: protBits("rw"), flags: [], readOnlyFile: false });
  state.space.map({ label: step.area, start, end: start + pages, flags, pgoff: start });
}

/** Grows the stack by writing below it: pages count upwards from the lowest one written. */
export function stackStep(step: StepOf<"stack">, context: StepContext): void {
  const { state } = context;
  const pages = pageCount(step.pages, state.pagesPerChunk);
  const INITIAL_STACK_PAGES = 40;
  const start = Number(state.target.stackTop / 4096n) - INITIAL_STACK_PAGES - pages;
  state.names.set(step.area, { start, pages });
  fillRuns(context, [{ first: start, count: pages }], step.seed, "written below the stack pointer");
}

/** Stores the generator's words to whole pages. */
export function writeStep(step: StepOf<"write">, context: StepContext): void {
  const runs = context.state.runs(step.area, step.pages);
  for (const run of runs) requireAccess(context, run, VM.WRITE, "write");
  fillRuns(context, runs, step.seed, "written");
}

function fillRuns(
  { state, builder, index }: StepContext,
  runs: { first: number; count: number }[],
  stepSeed: number | undefined,
  verb: string,
): void {
  const seed = stepSeed ?? defaultSeed(index);
  for (const { first, count } of runs) {
    builder.emit({ op: "fill", address: addressOf(first), pages: count, seed, stride: 1 });
    for (let page = first; page < first + count; page++) {
      const content = fillContent(seed, page * PAGE_SIZE);
      state.space.setPage(page, content, `${verb} by step ${index + 1}: ${describeContent(content)}`);
    }
  }
}

/** Loads a byte of each page. */
export function readStep(step: StepOf<"read">, context: StepContext): void {
  const { state, builder } = context;
  for (const run of state.runs(step.area, step.pages)) {
    requireAccess(context, run, VM.READ, "read");
    builder.emit({ op: "read", address: addressOf(run.first), pages: run.count, stride: 1 });
    for (let page = run.first; page < run.first + run.count; page++) state.space.readPage(page);
  }
}

/** Stores zeros to whole pages: they are dumped all the same, being written. */
export function zeroStep(step: StepOf<"zero">, context: StepContext): void {
  const { state, builder, index } = context;
  for (const run of state.runs(step.area, step.pages)) {
    requireAccess(context, run, VM.WRITE, "write");
    builder.emit({ op: "zero", address: addressOf(run.first), length: run.count * PAGE_SIZE });
    for (let page = run.first; page < run.first + run.count; page++) {
      state.space.setPage(page, ZERO_CONTENT, `zeros written by step ${index + 1}`);
    }
  }
}

/** Stores one value of 1, 2, 4 or 8 bytes. */
export function pokeStep(step: StepOf<"poke">, context: StepContext): void {
  const { state, builder, index } = context;
  const page = state.range(step.area).start + pageCount(step.page, state.pagesPerChunk);
  requireAccess(context, { first: page, count: 1 }, VM.WRITE, "write");
  const offset = step.offset ?? 0;
  const size = step.size ?? 1;
  if ((size !== 1 && size !== 2 && size !== 4 && size !== 8) || offset + size > PAGE_SIZE || offset < 0) {
    throw new RangeError(`A poke must store 1, 2, 4 or 8 bytes within the page: found ${size} at ${offset}`);
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(step.value)), true);
  builder.emit({
    op: "poke",
    address: addressOf(page) + BigInt(offset),
    size,
    value: BigInt.asUintN(64, BigInt(step.value)),
  });
  const content = withStore(state.space.contentAt(page), offset, bytes.slice(0, size));
  state.space.setPage(page, content, `stored to by step ${index + 1}: ${describeContent(content)}`);
}

function requireAccess(
  { state }: StepContext,
  run: { first: number; count: number },
  flag: bigint,
  what: "read" | "write",
): void {
  for (let page = run.first; page < run.first + run.count; page++) {
    const area = state.space.areaAt(page);
    if (!area) throw new RangeError(`Page 0x${page.toString(16)} is not mapped: it cannot be ${what}`);
    // Execute-only memory is readable on x86 without protection keys, write-only memory always.
    const readable = VM.READ | VM.WRITE | VM.EXEC;
    if ((area.flags & (flag === VM.READ ? readable : flag)) === 0n) {
      throw new RangeError(`Area "${area.label}" cannot be ${what}: its protection forbids it`);
    }
    if (area.file && area.pgoff + page - area.start >= area.file.pages) {
      throw new RangeError(
        `Page 0x${page.toString(16)} of "${area.label}" lies past the end of its file: SIGBUS`,
      );
    }
    page = Math.min(area.end, run.first + run.count) - 1;
  }
}

/** The bytes that a page of the model holds. */
export function pageBytes(context: StepContext, page: number): Uint8Array {
  return contentBytes(context.state.space.contentAt(page));
}
