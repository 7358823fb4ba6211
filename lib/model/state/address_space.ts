// SPDX-License-Identifier: MIT

import { hex } from "../../bytes.ts";
import { type AnonPage, type Area, isOneVma, type UnreadableErrno } from "./area.ts";
import { type PageContent, ZERO_CONTENT } from "./page_content.ts";
import { lowerBound, presentPages, rangesWithin } from "./page_set.ts";
import { VM } from "../../abi/vm_flags.ts";

/** Pages of a huge page: 2 MiB with 64-bit page table entries, which transparent huge pages need. */
const HUGE_PAGES = 512;

/** 1 GiB: more than a guest has. */
const MAX_PRESENT_PAGES = 2 ** 18;

const SHARED = VM.SHARED | VM.MAYSHARE;

interface FaultRules {
  /** Which faults take huge pages; none when not given. */
  readonly huge?: "madvise" | "always" | undefined;
  /** Whether a read of untouched memory makes a page of zeros (Linux 2.6.28), so that the area has had one. */
  readonly readsMakePages?: boolean;
}

/**
 * A user address space as steps make it: areas in address order and the anonymous pages in them. Pages are absent
 * until they are written; a read maps the zero page or the page cache, which no image holds. There may be as many
 * areas as vm.max_map_count allows, so that nothing here looks at all of them for the sake of one.
 */
export class AddressSpace {
  /**
   * The program's own .bss, which has had pages: what comes right behind it may be one VMA with it. It is no area that
   * steps made, and in a forked child it merges with none.
   */
  bss: Area | undefined;
  readonly #rules: FaultRules;
  #areas: Area[] = [];
  #pages = new Map<number, AnonPage>();
  /** Pages that were only read: they count as memory of the guest. */
  #readTouched = new Set<number>();
  /** Blocks of 512 pages by index that have a page table, or map a huge page: a fault there takes no huge page. */
  #populated = new Set<number>();

  constructor(rules: FaultRules = {}) {
    this.#rules = rules;
  }

  /** The areas, ascending. */
  get areas(): readonly Area[] {
    return this.#areas;
  }

  /** The anonymous pages by page number, in no order. */
  get pages(): ReadonlyMap<number, AnonPage> {
    return this.#pages;
  }

  /** One in which nothing is mapped, in the same kernel. */
  empty(): AddressSpace {
    return new AddressSpace(this.#rules);
  }

  /** A copy that shares no state (page contents are immutable). */
  clone(): AddressSpace {
    const copy = this.empty();
    copy.bss = this.bss;
    copy.#areas = [...this.#areas];
    copy.#pages = new Map(this.#pages);
    copy.#readTouched = new Set(this.#readTouched);
    copy.#populated = new Set(this.#populated);
    return copy;
  }

  /** Adds an area where nothing is mapped. */
  map(area: Area): void {
    const index = this.#indexOf(area.start);
    const after = this.#areas[index];
    if (after && after.start < area.end) {
      throw new RangeError(`Area "${area.label}" overlaps another: map it elsewhere or unmap first`);
    }
    this.#areas.splice(index, 0, area);
    this.#keepApart(index, area);
    this.#mergeAnonVmas(index, index);
  }

  unmap(start: number, end: number): void {
    this.#split(start);
    this.#split(end);
    const index = this.#indexOf(start);
    this.#areas.splice(index, this.#indexOf(end) - index);
    this.dropPages(start, end);
  }

  /** Replaces the attributes of every area in [start, end), splitting at the ends. */
  change(start: number, end: number, change: (area: Area) => Area): void {
    let inside = this.areasIn(start, end);
    let covered = start;
    for (const area of inside) if (area.start <= covered) covered = area.end;
    if (covered < end) {
      throw new RangeError(`Page ${hex(covered)} is not mapped: the call would fail (ENOMEM)`);
    }
    const isSame = (a: Area, b: Area): boolean =>
      Object.entries(b).every(([key, value]) => a[key as keyof Area] === value);
    if (inside.every((area) => isSame(area, change(area)))) return;
    this.#split(start);
    this.#split(end);
    inside = this.areasIn(start, end);
    const first = this.#indexOf(start);
    inside.forEach((area, i) => {
      const changed = change(area);
      this.#areas[first + i] = changed;
      const isAlike = changed.flags === area.flags && changed.anonName === area.anonName;
      if (!isAlike) this.#keepApart(first + i, { ...changed, isApart: false });
    });
    this.#mergeAnonVmas(first, first + inside.length - 1);
  }

  /** An area with an anon_vma is no VMA with a neighbour that it is like, but has none (is_mergeable_anon_vma). */
  #keepApart(index: number, { hasAnonVma = false, isApart = false }: Area): void {
    const [below, area, above] = [index - 1, index, index + 1].map((i) => this.#areas[i]);
    const isApartFrom = (other: Area | undefined) => hasAnonVma && other !== undefined && !other.hasAnonVma;
    this.#areas[index] = { ...area!, isApart: isApart || isApartFrom(below) };
    if (above) this.#areas[index + 1] = { ...above, isApart: isApartFrom(above) };
  }

  /** Areas that the kernel has merged to one VMA share what was ever done to any: those of a range changed. */
  #mergeAnonVmas(first: number, last: number): void {
    const lowest = this.#areas[first];
    if (this.bss && lowest && !lowest.hasAnonVma && isOneVma(this.bss, lowest)) {
      this.#areas[first] = { ...lowest, hasAnonVma: true };
    }
    for (let i = Math.max(first - 1, 0); this.#spread(i, i + 1) || i < last; i++);
    for (let i = Math.min(last + 1, this.#areas.length - 1); this.#spread(i, i - 1) || i > first; i--);
  }

  /** The areas that the kernel keeps as one VMA with the one that holds a page: [start, end). */
  vmaAt(page: number): { start: number; end: number } {
    const index = this.#indexOf(page);
    let [first, last] = [index, index];
    while (first > 0 && isOneVma(this.#areas[first - 1]!, this.#areas[first]!)) first--;
    while (last + 1 < this.#areas.length && isOneVma(this.#areas[last]!, this.#areas[last + 1]!)) last++;
    return { start: this.#areas[first]!.start, end: this.#areas[last]!.end };
  }

  /** Gives an anon_vma to the neighbour of an area that has one; false when it has no need of it. */
  #spread(from: number, to: number): boolean {
    const [a, b] = [this.#areas[from], this.#areas[to]];
    if (!a?.hasAnonVma || a.isForked || !b || b.hasAnonVma) return false;
    if (!isOneVma(from < to ? a : b, from < to ? b : a)) return false;
    this.#areas[to] = { ...b, hasAnonVma: true };
    return true;
  }

  /** The areas with a page in [start, end). */
  areasIn(start: number, end: number): Area[] {
    return rangesWithin(this.#areas, { start, end });
  }

  areaAt(page: number): Area | undefined {
    const area = this.#areas[this.#indexOf(page)];
    return area && area.start <= page ? area : undefined;
  }

  /** Index of the first area that ends behind a page. */
  #indexOf(page: number): number {
    return lowerBound(this.#areas.length, (index) => this.#areas[index]!.end <= page);
  }

  /** Makes a page anonymous with a content (a write fault or a later store). What shared memory holds is its file's. */
  setPage(page: number, content: PageContent, why: string): void {
    const area = this.areaAt(page);
    if (((area?.flags ?? 0n) & SHARED) !== 0n) return;
    const old = this.#pages.get(page);
    requireReadable(page, old);
    if (!old) this.#writeFault(page, area);
    requireMemory(this.#pages.size);
    const isCopy = old?.shared || old?.swapped;
    this.#pages.set(page, {
      content,
      why,
      ...(old?.lazy && !isCopy ? { lazy: "dirty" } : {}),
      ...(old?.mayBeUnderWriteback ? { mayBeUnderWriteback: true } : {}),
    });
  }

  #writeFault(page: number, area: Area | undefined): void {
    if (area) this.#noteAnonVma(area);
    const block = Math.floor(page / HUGE_PAGES);
    if (area && this.#takesHugePage(block, area)) {
      for (let other = block * HUGE_PAGES; other < (block + 1) * HUGE_PAGES; other++) {
        this.#pages.set(other, { content: ZERO_CONTENT, why: "zeros: the rest of a huge page" });
      }
    }
    this.#populated.add(block);
  }

  #noteAnonVma(area: Area): void {
    if (area.hasAnonVma) return;
    const index = this.#indexOf(area.start);
    this.#areas[index] = { ...area, hasAnonVma: true };
    this.#mergeAnonVmas(index, index);
  }

  /** hugepage_vma_check (mm/huge_memory.c), and the block must have no page table yet. */
  #takesHugePage(block: number, area: Area): boolean {
    const { huge } = this.#rules;
    if (huge === undefined || (area.flags & (VM.NOHUGEPAGE | SHARED)) !== 0n) return false;
    if (huge === "madvise" && (area.flags & VM.HUGEPAGE) === 0n) return false;
    if (area.file && !area.file.isZeroDevice) return false;
    return area.start <= block * HUGE_PAGES && area.end >= (block + 1) * HUGE_PAGES &&
      !this.#populated.has(block);
  }

  /** What a program would read at a page: its own copy, the file's page, or zeros. */
  contentAt(page: number): PageContent {
    const own = this.#pages.get(page);
    if (own) return own.content;
    const area = this.areaAt(page);
    if (!area) throw new RangeError(`Page ${hex(page)} is not mapped`);
    return area.file ? area.file.contentAt(area.pgoff + page - area.start) : ZERO_CONTENT;
  }

  /**
   * Notes that pages of the process's own cannot be read any more: they lie in swap on a device that fails, or the
   * memory that they lay in is broken, of which the page table tells as if they lay in swap.
   *
   * @throws {RangeError} when there is no such page, or another process has it too
   */
  breakPages(start: number, end: number, errno: UnreadableErrno): void {
    for (let page = start; page < end; page++) {
      const anon = this.#pages.get(page);
      if (!anon || anon.shared) throw new RangeError(`Page ${hex(page)} is none that the target alone has`);
      const { mayBeUnderWriteback: _, ...rest } = anon;
      const why = `${anon.why}, cannot be read any more`;
      this.#pages.set(page, { ...rest, why, swapped: true, unreadable: errno });
    }
  }

  /**
   * UFFDIO_POISON: a mark stands where no page was, which pagemap shows as if in swap.
   *
   * @throws {RangeError} when a page is there
   */
  poison(start: number, end: number): void {
    for (let page = start; page < end; page++) {
      if (this.#pages.has(page) || this.#readTouched.has(page)) {
        throw new RangeError(`Page ${hex(page)} is there: the call would fail (EEXIST)`);
      }
      const why = "poisoned by a userfaultfd";
      this.#pages.set(page, { content: ZERO_CONTENT, why, swapped: true, unreadable: "EHWPOISON" });
    }
  }

  /** Notes a read of a page: a page comes back from swap, a hole gets the zero page (a huge one where it fits). */
  readPage(page: number): void {
    const own = this.#pages.get(page);
    requireReadable(page, own);
    if (own?.swapped) {
      const { swapped: _, ...rest } = own;
      this.#pages.set(page, { ...rest, why: `${own.why}, swapped out and read back` });
    }
    if (own) return;
    const area = this.areaAt(page);
    const block = Math.floor(page / HUGE_PAGES);
    // do_huge_pmd_anonymous_page (mm/huge_memory.c) makes the anon_vma before it takes the huge zero page.
    const makesPage = this.#rules.readsMakePages && (!area?.file || area.file.isZeroDevice);
    if (area && (makesPage || this.#takesHugePage(block, area))) this.#noteAnonVma(area);
    this.#populated.add(block);
    requireMemory(this.#readTouched.size);
    this.#readTouched.add(page);
  }

  /**
   * MADV_PAGEOUT with swap: pages that only this process has go there. One that may be discarded is, or if it
   * was written since is kept once more (try_to_unmap_one, mm/rmap.c).
   *
   * @throws {RangeError} when a page may be on its way to a slow device already
   */
  pageOut(start: number, end: number, options: { slowDevice: boolean }): void {
    for (const [page, anon] of this.#within(start, end)) {
      if (anon.shared || anon.swapped) continue;
      requireSettled(page, anon);
      const { lazy, ...rest } = anon;
      if (lazy === "clean") this.dropPages(page, page + 1);
      else if (lazy === "dirty") this.#pages.set(page, rest);
      else {
        this.#pages.set(page, {
          ...rest,
          why: `${anon.why}, swapped out`,
          swapped: true,
          ...(options.slowDevice ? { mayBeUnderWriteback: true } : {}),
        });
      }
    }
  }

  /** MADV_FREE: pages in swap are gone, others may go when the kernel needs memory (madvise_free_pte_range). */
  free(start: number, end: number): void {
    for (const [page, anon] of this.#within(start, end)) {
      if (anon.swapped) {
        this.#pages.delete(page);
        continue;
      }
      requireSettled(page, anon);
      this.#pages.set(page, { ...anon, why: `${anon.why}, may be freed`, lazy: "clean" });
    }
  }

  /**
   * MADV_COLLAPSE: each whole block of 512 pages becomes a huge page, zeros where it had none.
   *
   * @throws {RangeError} where a block has no page of the process's own to write to: the call would fail (EINVAL)
   */
  collapse(start: number, end: number): void {
    for (let block = Math.ceil(start / HUGE_PAGES); (block + 1) * HUGE_PAGES <= end; block++) {
      const [first, behind] = [block * HUGE_PAGES, (block + 1) * HUGE_PAGES];
      const own = this.#within(first, behind);
      const isWhole = this.areasIn(first, behind).length === 1;
      if (!isWhole || own.length === 0 || own.some(([, { shared, swapped }]) => shared || swapped)) {
        throw new RangeError(`Page ${hex(first)}: these 512 pages may not be made one huge page`);
      }
      for (let page = first; page < behind; page++) {
        if (!this.#pages.has(page)) {
          this.#pages.set(page, { content: ZERO_CONTENT, why: "zeros: the rest of a collapsed huge page" });
        }
      }
    }
  }

  /** What restart(2) makes of it: pages are ordinary ones; where there is none it is as if there had never been one. */
  restart(): void {
    for (const [page, { content, why }] of this.#pages) this.#pages.set(page, { content, why });
    this.#readTouched.clear();
    this.#populated = new Set([...this.#pages.keys()].map((page) => Math.floor(page / HUGE_PAGES)));
    this.#areas = this.#areas.map(({ hasAnonVma: _, isForked: __, ...area }) => ({
      ...area,
      ...this.#within(area.start, area.end).length > 0 ? { hasAnonVma: true } : {},
    }));
    this.#mergeAnonVmas(0, this.#areas.length - 1);
  }

  /** Notes whether another process has every present page too: after fork, and after the other has ended. */
  sharePages(shared: boolean): void {
    for (const [page, anon] of this.#pages) {
      if (anon.swapped) continue;
      const { shared: _, ...rest } = anon;
      this.#pages.set(page, shared ? { ...rest, shared } : rest);
    }
  }

  #within(start: number, end: number): [number, AnonPage][] {
    return presentPages(this.#pages, start, end).map((page) => [page, this.#pages.get(page)!]);
  }

  /** Forgets the pages of [start, end), as unmapping or MADV_DONTNEED does. */
  dropPages(start: number, end: number): void {
    for (const page of presentPages(this.#pages, start, end)) this.#pages.delete(page);
    for (const page of presentPages(this.#readTouched, start, end)) this.#readTouched.delete(page);
    // Page tables are freed, at the latest, with the last area of their block; a huge page with its whole block.
    const first = Math.ceil(start / HUGE_PAGES);
    for (let block = first; (block + 1) * HUGE_PAGES <= end; block++) this.#populated.delete(block);
  }

  /** Moves the pages of [start, start + count) to `to`, as mremap does. */
  movePages(start: number, count: number, to: number): void {
    const moved = this.#within(start, start + count);
    this.dropPages(start, start + count);
    for (const [page, anon] of moved) {
      this.#pages.set(page - start + to, { ...anon, why: `${anon.why}, then moved` });
      this.#populated.add(Math.floor((page - start + to) / HUGE_PAGES));
    }
  }

  /** Splits the area that spans `page` so that one starts there. */
  #split(page: number): void {
    const index = this.#indexOf(page);
    const area = this.#areas[index];
    if (!area || area.start >= page) return;
    const upper = { ...area, start: page, pgoff: area.pgoff + page - area.start, isApart: false };
    this.#areas.splice(index, 1, { ...area, end: page }, upper);
  }
}

function requireMemory(pages: number): void {
  if (pages < MAX_PRESENT_PAGES) return;
  throw new RangeError(`The guest has not the memory for more than ${MAX_PRESENT_PAGES} pages`);
}

function requireReadable(page: number, anon: AnonPage | undefined): void {
  if (anon?.unreadable === undefined) return;
  throw new RangeError(`Page ${hex(page)} cannot be read any more: SIGBUS would end the target`);
}

function requireSettled(page: number, { mayBeUnderWriteback }: AnonPage): void {
  if (!mayBeUnderWriteback) return;
  throw new RangeError(
    `Page ${hex(page)} may still be on its way to the swap device: what becomes of it cannot be told`,
  );
}
