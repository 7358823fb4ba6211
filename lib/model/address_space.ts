// SPDX-License-Identifier: MIT

import type { FileModel } from "./file_model.ts";
import { type PageContent, ZERO_CONTENT } from "./page_content.ts";
import { VM } from "./vm_flag_rules.ts";

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
}

/** Why a page is, or is not, in an image. */
export interface AnonPage {
  readonly content: PageContent;
  readonly why: string;
}

/**
 * A user address space as steps make it: areas in address order and the anonymous pages in them. Pages are absent
 * until they are written; a read maps the zero page or the page cache, which no image holds, and is kept only to say so.
 */
export class AddressSpace {
  #areas: Area[] = [];
  readonly #pages = new Map<number, AnonPage>();
  readonly #readTouched = new Set<number>();

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
    copy.#areas = [...this.#areas];
    for (const [page, anon] of this.#pages) copy.#pages.set(page, anon);
    for (const page of this.#readTouched) copy.#readTouched.add(page);
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
    this.split(start);
    this.split(end);
    this.#areas = this.#areas.map((area) => area.start >= start && area.end <= end ? change(area) : area);
  }

  /** The area that holds a page. */
  areaAt(page: number): Area | undefined {
    return this.#areas.find((area) => area.start <= page && page < area.end);
  }

  /** Makes a page anonymous with a content (a write fault or a later store). What shared memory holds is its file's. */
  setPage(page: number, content: PageContent, why: string): void {
    const SHARED = VM.SHARED | VM.MAYSHARE;
    if (((this.areaAt(page)?.flags ?? 0n) & SHARED) !== 0n) return;
    this.#pages.set(page, { content, why });
  }

  /** What a program would read at a page: its own copy, the file's page, or zeros. */
  contentAt(page: number): PageContent {
    const own = this.#pages.get(page);
    if (own) return own.content;
    const area = this.areaAt(page);
    if (!area) throw new RangeError(`Page 0x${page.toString(16)} is not mapped`);
    return area.file ? area.file.contentAt(area.pgoff + page - area.start) : ZERO_CONTENT;
  }

  /** Notes a read of a page. */
  readPage(page: number): void {
    this.#readTouched.add(page);
  }

  /** Forgets the pages of [start, end), as unmapping or MADV_DONTNEED does. */
  dropPages(start: number, end: number): void {
    forget(this.#pages, start, end);
    forget(this.#readTouched, start, end);
  }

  /** Moves the pages of [start, start + count) to `to`, as mremap does. */
  movePages(start: number, count: number, to: number): void {
    const moved = [...this.#pages].filter(([page]) => page >= start && page < start + count);
    this.dropPages(start, start + count);
    for (const [page, anon] of moved) this.#pages.set(page - start + to, anon);
  }

  /** Splits the area that spans `page` so that one starts there. */
  split(page: number): void {
    const index = this.#areas.findIndex((area) => area.start < page && page < area.end);
    if (index < 0) return;
    const area = this.#areas[index]!;
    const upper = { ...area, start: page, pgoff: area.pgoff + page - area.start };
    this.#areas.splice(index, 1, { ...area, end: page }, upper);
  }
}

function forget(pages: Map<number, unknown> | Set<number>, start: number, end: number): void {
  if (end - start > pages.size) {
    for (const page of [...pages.keys()]) if (page >= start && page < end) pages.delete(page);
  } else {
    for (let page = start; page < end; page++) pages.delete(page);
  }
}
