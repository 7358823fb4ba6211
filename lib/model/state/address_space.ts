// SPDX-License-Identifier: MIT

import type { FileModel } from "./file_model.ts";
import { type PageContent, ZERO_CONTENT } from "./page_content.ts";
import { VM } from "../../abi/vm_flags.ts";

/** One stretch of an address space with the same attributes; page numbers, not bytes. `end` is exclusive. */
export interface Area {
  readonly label: string;
  readonly start: number;
  readonly end: number;
  /** vm_flags as the kernel keeps them. */
  readonly flags: bigint;
  /** vm_pgoff of `start`, in pages. */
  readonly pgoff: number;
  readonly file?: FileModel | undefined;
  /** Whether an anonymous page was ever made in it (vma->anon_vma): mremap keeps vm_pgoff only then. */
  readonly hasAnonVma?: boolean;
  /** Set in a forked child whose parent had made it: such an area does not merge with one that has no page. */
  readonly isForked?: boolean;
}

/** Why a page is, or is not, in an image. */
interface AnonPage {
  readonly content: PageContent;
  readonly why: string;
  /** Set when the page was written out to swap and not touched since. */
  readonly swapped?: boolean;
  /** Set while another process has the same page, after fork. */
  readonly shared?: boolean;
  /** Set once the page may be discarded (MADV_FREE); `dirty` when it was written since. */
  readonly lazy?: "clean" | "dirty";
  /** Set once the page was written out to a device that takes its time: what becomes of it again cannot be told. */
  readonly mayBeUnderWriteback?: boolean;
  /** Set once the page cannot be read any more: what the kernel says when it is to be brought in. */
  readonly unreadable?: UnreadableErrno;
}

/** A swap device that fails, or memory that does (vm_fault_to_errno, include/linux/mm.h). */
type UnreadableErrno = "EFAULT" | "EHWPOISON";

/** Pages of a huge page: 2 MiB with 64-bit page table entries, which transparent huge pages need. */
const HUGE_PAGES = 512;

/** 1 GiB: more than a guest has. */
const MAX_PRESENT_PAGES = 2 ** 18;

/** When a fault takes a transparent huge page (/sys/kernel/mm/transparent_hugepage/enabled). */
type HugePolicy = "never" | "madvise" | "always";

const SHARED = VM.SHARED | VM.MAYSHARE;

/**
 * A user address space as steps make it: areas in address order and the anonymous pages in them. Pages are
 * absent until they are written; a read maps the zero page or the page cache, which no image holds, and is
 * kept only to say so.
 */
export class AddressSpace {
  /** Which faults take huge pages. */
  hugePolicy: HugePolicy = "never";
  /** Whether a read of untouched memory makes a page of zeros (Linux 2.6.28), so that the area has had one. */
  readsMakePages = false;
  #areas: Area[] = [];
  readonly #pages = new Map<number, AnonPage>();
  readonly #readTouched = new Set<number>();
  /** Blocks of 512 pages by index that have a page table, or map a huge page: a fault there takes no huge page. */
  readonly #populated = new Set<number>();

  /** The areas, ascending. */
  get areas(): readonly Area[] {
    return this.#areas;
  }

  /** The anonymous pages by page number, in no order. */
  get pages(): ReadonlyMap<number, AnonPage> {
    return this.#pages;
  }

  /** Whether a page was only read, so that the zero page or the page cache backs it. */
  wasOnlyRead(page: number): boolean {
    return this.#readTouched.has(page) && !this.#pages.has(page);
  }

  /** A copy that shares no state (page contents are immutable). */
  clone(): AddressSpace {
    const copy = new AddressSpace();
    copy.hugePolicy = this.hugePolicy;
    copy.readsMakePages = this.readsMakePages;
    copy.#areas = [...this.#areas];
    for (const [page, anon] of this.#pages) copy.#pages.set(page, anon);
    for (const page of this.#readTouched) copy.#readTouched.add(page);
    for (const block of this.#populated) copy.#populated.add(block);
    return copy;
  }

  /** Adds an area where nothing is mapped. */
  map(area: Area): void {
    const at = this.#areas.findIndex((other) => other.start >= area.start);
    const index = at < 0 ? this.#areas.length : at;
    const before = this.#areas[index - 1];
    const after = this.#areas[index];
    if ((before && before.end > area.start) || (after && after.start < area.end)) {
      throw new RangeError(`Area "${area.label}" overlaps another: map it elsewhere or unmap first`);
    }
    this.#areas.splice(index, 0, area);
    this.#mergeAnonVmas();
  }

  /** Removes whatever is mapped in [start, end). */
  unmap(start: number, end: number): void {
    this.split(start);
    this.split(end);
    this.#areas = this.#areas.filter((area) => area.end <= start || area.start >= end);
    this.dropPages(start, end);
  }

  /** Replaces the attributes of every area in [start, end), splitting at the ends. */
  change(start: number, end: number, change: (area: Area) => Area): void {
    let covered = start;
    for (const area of this.#areas) if (area.start <= covered) covered = Math.max(covered, area.end);
    if (covered < end) {
      throw new RangeError(`Page 0x${covered.toString(16)} is not mapped: the call would fail (ENOMEM)`);
    }
    if (this.areasIn(start, end).every((area) => isSame(area, change(area)))) return;
    this.split(start);
    this.split(end);
    this.#areas = this.#areas.map((area) => area.start >= start && area.end <= end ? change(area) : area);
    this.#mergeAnonVmas();
  }

  /** Areas that the kernel has merged to one VMA share what was ever done to any of them. */
  #mergeAnonVmas(): void {
    const spread = (from: number, to: number, step: 1 | -1): void => {
      for (let i = from; i !== to; i += step) {
        const [a, b] = [this.#areas[i]!, this.#areas[i + step]!];
        if (a.hasAnonVma && !a.isForked && !b.hasAnonVma && isOneVma(step > 0 ? a : b, step > 0 ? b : a)) {
          this.#areas[i + step] = { ...b, hasAnonVma: true };
        }
      }
    };
    const last = this.#areas.length - 1;
    if (last < 1) return;
    spread(0, last, 1);
    spread(last, 0, -1);
  }

  /** The areas with a page in [start, end). */
  areasIn(start: number, end: number): Area[] {
    return this.#areas.filter((area) => area.start < end && area.end > start);
  }

  /** The area that holds a page. */
  areaAt(page: number): Area | undefined {
    let low = 0;
    let high = this.#areas.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#areas[middle]!.end <= page) low = middle + 1;
      else high = middle;
    }
    const area = this.#areas[low];
    return area && area.start <= page ? area : undefined;
  }

  /**
   * Makes a page anonymous with a content (a write fault or a later store). What shared memory holds is its file's.
   */
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
    if (area && !area.hasAnonVma) this.#noteAnonVma(area);
    const block = Math.floor(page / HUGE_PAGES);
    if (area && this.#takesHugePage(block, area)) {
      for (let other = block * HUGE_PAGES; other < (block + 1) * HUGE_PAGES; other++) {
        this.#pages.set(other, { content: ZERO_CONTENT, why: "zeros: the rest of a huge page" });
      }
    }
    this.#populated.add(block);
  }

  #noteAnonVma(area: Area): void {
    const index = this.#areas.indexOf(area);
    if (index < 0) return;
    this.#areas[index] = { ...area, hasAnonVma: true };
    this.#mergeAnonVmas();
  }

  /** hugepage_vma_check (mm/huge_memory.c), and the block must have no page table yet. */
  #takesHugePage(block: number, area: Area): boolean {
    if (this.hugePolicy === "never" || (area.flags & (VM.NOHUGEPAGE | SHARED)) !== 0n) return false;
    if (this.hugePolicy === "madvise" && (area.flags & VM.HUGEPAGE) === 0n) return false;
    if (area.file && !area.file.isZeroDevice) return false;
    return area.start <= block * HUGE_PAGES && area.end >= (block + 1) * HUGE_PAGES &&
      !this.#populated.has(block);
  }

  /** What a program would read at a page: its own copy, the file's page, or zeros. */
  contentAt(page: number): PageContent {
    const own = this.#pages.get(page);
    if (own) return own.content;
    const area = this.areaAt(page);
    if (!area) throw new RangeError(`Page 0x${page.toString(16)} is not mapped`);
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
      if (!anon || anon.shared) {
        throw new RangeError(`Page 0x${page.toString(16)} is none that the target alone has`);
      }
      const { mayBeUnderWriteback: _, ...rest } = anon;
      const why = `${anon.why}, cannot be read any more`;
      this.#pages.set(page, { ...rest, why, swapped: true, unreadable: errno });
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
    const makesPage = this.readsMakePages && (!area?.file || area.file.isZeroDevice);
    if (area && !area.hasAnonVma && (makesPage || this.#takesHugePage(block, area))) this.#noteAnonVma(area);
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

  /** Notes whether another process has every present page too: after fork, and after the other has ended. */
  sharePages(shared: boolean): void {
    for (const [page, anon] of this.#pages) {
      if (anon.swapped) continue;
      const { shared: _, ...rest } = anon;
      this.#pages.set(page, shared ? { ...rest, shared } : rest);
    }
  }

  #within(start: number, end: number): [number, AnonPage][] {
    return [...this.#pages].filter(([page]) => page >= start && page < end);
  }

  /** Forgets the pages of [start, end), as unmapping or MADV_DONTNEED does. */
  dropPages(start: number, end: number): void {
    forget(this.#pages, start, end);
    forget(this.#readTouched, start, end);
    // Page tables are freed, at the latest, with the last area of their block; a huge page with its whole block.
    for (const block of [...this.#populated]) {
      if (block * HUGE_PAGES >= start && (block + 1) * HUGE_PAGES <= end) this.#populated.delete(block);
    }
  }

  /** Moves the pages of [start, start + count) to `to`, as mremap does. */
  movePages(start: number, count: number, to: number): void {
    const moved = [...this.#pages].filter(([page]) => page >= start && page < start + count);
    this.dropPages(start, start + count);
    for (const [page, anon] of moved) {
      this.#pages.set(page - start + to, { ...anon, why: `${anon.why}, then moved` });
      this.#populated.add(Math.floor((page - start + to) / HUGE_PAGES));
    }
  }

  /** Splits the area that spans `page` so that one starts there. */
  split(page: number): void {
    const area = this.areaAt(page);
    if (!area || area.start === page) return;
    const upper = { ...area, start: page, pgoff: area.pgoff + page - area.start };
    this.#areas.splice(this.#areas.indexOf(area), 1, { ...area, end: page }, upper);
  }
}

function requireMemory(pages: number): void {
  if (pages < MAX_PRESENT_PAGES) return;
  throw new RangeError(`The guest has not the memory for more than ${MAX_PRESENT_PAGES} pages`);
}

function requireReadable(page: number, anon: AnonPage | undefined): void {
  if (anon?.unreadable === undefined) return;
  throw new RangeError(`Page 0x${page.toString(16)} cannot be read any more: SIGBUS would end the target`);
}

function requireSettled(page: number, { mayBeUnderWriteback }: AnonPage): void {
  if (!mayBeUnderWriteback) return;
  throw new RangeError(
    `Page 0x${
      page.toString(16)
    } may still be on its way to the swap device: what becomes of it cannot be told`,
  );
}

/**
 * Whether the kernel keeps two areas, the second right behind the first, as one VMA (is_mergeable_vma, mm/mmap.c).
 */
function isOneVma(a: Area, b: Area): boolean {
  return a.end === b.start && a.flags === b.flags && a.file === b.file &&
    a.pgoff + a.end - a.start === b.pgoff;
}

function isSame(a: Area, b: Area): boolean {
  return Object.entries(b).every(([key, value]) => a[key as keyof Area] === value);
}

function forget(pages: Map<number, unknown> | Set<number>, start: number, end: number): void {
  if (end - start > pages.size) {
    for (const page of [...pages.keys()]) if (page >= start && page < end) pages.delete(page);
  } else {
    for (let page = start; page < end; page++) pages.delete(page);
  }
}
