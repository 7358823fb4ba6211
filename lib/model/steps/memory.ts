// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { flagBits, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE, MAP_FLAGS, protBits } from "../state/mmap_flags.ts";
import { describeContent, fillContent, withStore, ZERO_CONTENT } from "../state/page_content.ts";
import { pageCount } from "../state/page_set.ts";
import { openFile } from "./file.ts";
import { addressOf, defaultSeed, type StepContext } from "./step_context.ts";
import type { StepOf } from "./steps.ts";
import type { OpArgument } from "../target_op.ts";
import { populateWrites, VM, vmFlagsAfterMprotect, vmFlagsOfMmap, vmProt } from "../state/vm_flag_rules.ts";
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
    BigInt(options.pages) * PAGE_SIZE_BIG,
    BigInt(options.prot),
    BigInt(options.flags | MAP_FIXED_NOREPLACE),
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
  let flags = flagBits(words, { ...MAP_FLAGS, readonly_file: 0, low: 0 });
  if (!words.includes("shared")) flags |= MAP_FLAGS.private;
  const readOnlyFile = words.includes("readonly_file");
  let fd: OpArgument = NO_FILE;
  const file = step.file === undefined ? undefined : state.file(step.file);
  if (file) fd = openFile(context, file, readOnlyFile);
  else flags |= MAP_ANONYMOUS;
  const offset = step.offset ?? 0;
  emitMmap(context, { page: start, pages, prot, flags, fd, offset });
  if (file) builder.syscall("close", [fd], { expected: 0n });
  const vmFlags = vmFlagsOfMmap({ prot, flags: words, readOnlyFile, isMemory: file?.kind === "mem" }) |
    state.defaultFlags;
  state.names.set(step.area, { start, pages });
  state.space.map({
    label: step.area,
    start,
    end: start + pages,
    flags: vmFlags,
    pgoff: file ? offset : start,
    file,
  });
  const locks = (vmFlags & (VM.LOCKED | VM.LOCKONFAULT)) === VM.LOCKED;
  if (words.includes("populate") || locks) populate(context, start, pages);
}

/**
 * Makes pages present as MAP_POPULATE, mlockall and mlock do (mm_populate, mm/gup.c). Pages that cannot be
 * are left out, but `stopsAtError` ends there.
 *
 * @returns whether all pages could be made present
 */
export function populate(
  { state: { space } }: StepContext,
  first: number,
  count: number,
  { stopsAtError = false }: { stopsAtError?: boolean } = {},
): boolean {
  let whole = true;
  for (let page = first; page < first + count; page++) {
    const area = space.areaAt(page);
    const isPossible = area && (area.flags & (VM.READ | VM.WRITE | VM.EXEC)) !== 0n &&
      !(area.file && area.pgoff + page - area.start >= area.file.pages);
    if (isPossible) {
      // A write fault gives a page of its own to whoever shares one.
      const why = space.pages.get(page)?.why ?? "populated by a write fault";
      if (populateWrites(area.flags)) space.setPage(page, space.contentAt(page), why);
      else space.readPage(page);
    } else {
      whole = false;
      if (stopsAtError) return false;
    }
  }
  return whole;
}

/** munmap(2). */
export function munmapStep(step: StepOf<"munmap">, { state, builder }: StepContext): void {
  for (const { first, count } of state.runs(step.area, step.pages)) {
    builder.syscall("munmap", [addressOf(first), BigInt(count) * PAGE_SIZE_BIG], { expected: 0n });
    state.space.unmap(first, first + count);
  }
}

/** mprotect(2). */
export function mprotectStep(step: StepOf<"mprotect">, context: StepContext): void {
  const { space } = context.state;
  const prot = protBits(step.prot);
  for (const { first, count } of context.state.runs(step.area, step.pages)) {
    const end = first + count;
    context.builder.syscall("mprotect", [addressOf(first), BigInt(count) * PAGE_SIZE_BIG, BigInt(prot)], {
      expected: 0n,
    });
    const before = space.areas.filter((area) => area.start < end && area.end > first);
    space.change(first, end, (area) => {
      const isUntouched = !area.hasAnonVma && (!area.file || area.file.isZeroDevice);
      const { series } = context.state.target;
      return { ...area, flags: vmFlagsAfterMprotect(area.flags, prot, { series, isUntouched }) };
    });
    for (const { start, end: areaEnd, flags } of before) {
      // mprotect_fixup (mm/mprotect.c): locked memory that becomes writable gets its own pages at once.
      const lock = VM.WRITE | VM.SHARED | VM.LOCKED | VM.LOCKONFAULT;
      if ((flags & lock) !== VM.LOCKED || (vmProt(prot) & VM.WRITE) === 0n) continue;
      const from = Math.max(start, first);
      populate(context, from, Math.min(areaEnd, end) - from);
    }
  }
}

/** Stores the generator's words to whole pages. */
export function writeStep(step: StepOf<"write">, context: StepContext): void {
  const runs = context.state.runs(step.area, step.pages);
  for (const run of runs) requireAccess(context, run, VM.WRITE, "write");
  fillRuns(context, runs, step.seed, "written");
}

/** Fills pages with the generator's words. */
export function fillRuns(
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
  if (offset + size > PAGE_SIZE) {
    throw new RangeError(`a poke must stay within its page: found ${size} bytes at ${offset}`);
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

/** Makes sure that the target can read or write pages. */
export function requireAccess(
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
    // The last page of the run in this area decides: the file ends somewhere before it, or not at all.
    const last = Math.min(area.end, run.first + run.count) - 1;
    if (area.file && area.pgoff + last - area.start >= area.file.pages) {
      throw new RangeError(
        `Page 0x${last.toString(16)} of "${area.label}" lies past the end of its file: SIGBUS`,
      );
    }
    page = last;
  }
}
