// SPDX-License-Identifier: MIT

import { hex } from "../../bytes.ts";
import { PAGE_SIZE } from "../../abi/arch.ts";
import type { AddressSpace } from "../state/address_space.ts";
import { describeContent, fillContent } from "../state/page_content.ts";
import { addressOf, type PageRun } from "../state/page_set.ts";
import { VM } from "../../abi/vm_flags.ts";
import { defaultSeed, type StepContext } from "./define_step.ts";

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
      if ((area.flags & VM.UFFD_MISSING) !== 0n) requirePresent(space, page, page + 1);
      // populate_vma_page_range (mm/gup.c) writes where it may: then whoever shares a page gets one of its own.
      const why = space.pages.get(page)?.why ?? "populated by a write fault";
      if ((area.flags & (VM.WRITE | VM.SHARED)) === VM.WRITE) space.setPage(page, space.contentAt(page), why);
      else space.readPage(page);
    } else {
      whole = false;
      if (stopsAtError) return false;
    }
  }
  return whole;
}

/** Fills pages with the generator's words. */
export function fillRuns(
  { state, builder, index }: StepContext,
  runs: readonly PageRun[],
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

/** Makes sure that the target can read or write pages. */
export function requireAccess(
  { state }: StepContext,
  run: PageRun,
  flag: bigint,
  what: "read" | "write",
): void {
  for (let page = run.first; page < run.first + run.count; page++) {
    const area = state.space.areaAt(page);
    if (!area) throw new RangeError(`Page ${hex(page)} is not mapped: it cannot be ${what}`);
    // Execute-only memory is readable on x86 without protection keys, write-only memory always.
    const readable = VM.READ | VM.WRITE | VM.EXEC;
    if ((area.flags & (flag === VM.READ ? readable : flag)) === 0n) {
      throw new RangeError(`Area "${area.label}" cannot be ${what}: its protection forbids it`);
    }
    if (!state.mayUse(area)) {
      throw new RangeError(
        `Area "${area.label}" cannot be ${what}: the target's rights to its key forbid it`,
      );
    }
    if ((area.flags & VM.UFFD_MISSING) !== 0n) {
      requirePresent(state.space, page, Math.min(area.end, run.first + run.count));
    }
    // The last page of the run in this area decides: the file ends somewhere before it, or not at all.
    const last = Math.min(area.end, run.first + run.count) - 1;
    if (area.file && area.pgoff + last - area.start >= area.file.pages) {
      throw new RangeError(`Page ${hex(last)} of "${area.label}" lies past the end of its file: SIGBUS`);
    }
    page = last;
  }
}

/** can_modify_vma (mm/vma.h): what is sealed stays as it is. */
export function requireUnsealed(space: AddressSpace, { first, count }: PageRun): void {
  const sealed = space.areasIn(first, first + count).find(({ flags }) => (flags & VM.SEALED) !== 0n);
  if (sealed) throw new RangeError(`Area "${sealed.label}" is sealed: the call would fail (EPERM)`);
}

/** A fault on a page that is not there would wait for the handler of the userfaultfd, and there is none. */
function requirePresent(space: AddressSpace, start: number, end: number): void {
  for (let page = start; page < end; page++) {
    if (space.pages.has(page)) continue;
    throw new RangeError(`Page ${hex(page)} is not there: its userfaultfd has no handler`);
  }
}
