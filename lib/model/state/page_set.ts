// SPDX-License-Identifier: MIT

import { hex } from "../../bytes.ts";
import { PAGE_SIZE_BIG } from "../../abi/arch.ts";

/**
 * A number of pages in a scenario: a number, or a sum of terms such as "chunk+1" or "2chunk-1", where `chunk`
 * is the number of pages in a full page-array chunk of the kernel (2048 on x86-64, 4096 on i386), so that one
 * scenario finds the chunk boundaries on every architecture.
 */
export type PageCount = number | string;

/**
 * Which pages of an area: "all", or a comma-separated list of counts and ranges such as "0-2,7", "0..chunk-1"
 * or "0..99/2" (every second page from 0 to 99).
 */
export type PageSet = number | string;

/** A run of pages: `first` and `count`, both in pages. */
export interface PageRun {
  readonly first: number;
  readonly count: number;
}

/** A run of pages of an area: absolute page numbers, and the first page after it. */
export interface AreaRun extends PageRun {
  readonly end: number;
}

/** Index of the first of `length` ascending items that is not below what is looked for; `length` when all are. */
export function lowerBound(length: number, isBelow: (index: number) => boolean): number {
  let low = 0;
  for (let high = length; low < high;) {
    const middle = (low + high) >> 1;
    if (isBelow(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Those of ascending, disjoint ranges that have a page in [start, end). */
export function rangesWithin<Range extends { readonly start: number; readonly end: number }>(
  ranges: readonly Range[],
  { start, end }: { readonly start: number; readonly end: number },
): Range[] {
  const first = lowerBound(ranges.length, (index) => ranges[index]!.end <= start);
  const within: Range[] = [];
  for (let i = first; i < ranges.length && ranges[i]!.start < end; i++) within.push(ranges[i]!);
  return within;
}

/** Those of ascending pages that lie in [start, end). */
export function pagesWithin(
  pages: readonly number[],
  { start, end }: { readonly start: number; readonly end: number },
): number[] {
  const at = (page: number): number => lowerBound(pages.length, (index) => pages[index]! < page);
  return pages.slice(at(start), at(end));
}

/** The address of a page number. */
export function addressOf(page: number): bigint {
  return BigInt(page) * PAGE_SIZE_BIG;
}

/** The same in hexadecimal, for a person. */
export function shownAddress(page: number): string {
  return hex(addressOf(page));
}

/** Address and length in bytes of a run: the first two arguments of most system calls about memory. */
export function addressRange({ first, count }: PageRun): [address: bigint, length: bigint] {
  return [addressOf(first), addressOf(count)];
}

/** 64 GiB: no scenario maps more. */
export const MAX_PAGES = 2 ** 24;

/**
 * The value of a page count, whose form a schema has checked (`PAGE_COUNT` of fields.ts).
 *
 * @throws {SyntaxError} when it is negative, or more than {@linkcode MAX_PAGES}
 */
export function pageCount(text: PageCount, pagesPerChunk: number): number {
  let sum = 0;
  for (const [, sign, number, chunk] of String(text).matchAll(/([+-]?)(\d*)(chunk)?/g)) {
    const value = chunk === undefined ? Number(number) : Number(number || "1") * pagesPerChunk;
    sum += sign === "-" ? -value : value;
  }
  if (sum >= 0 && sum <= MAX_PAGES) return sum;
  throw new SyntaxError(`A page count must be from 0 to ${MAX_PAGES}: "${text}" is ${sum}`);
}

/**
 * The runs of pages that a page set names, in the order written. A schema has checked its form (`PAGE_SET` of
 * fields.ts).
 *
 * @throws {SyntaxError} when it names a page at or past `areaPages`
 */
export function pageRuns(set: PageSet, areaPages: number, pagesPerChunk: number): PageRun[] {
  if (set === "all") return areaPages === 0 ? [] : [{ first: 0, count: areaPages }];
  const runs: PageRun[] = [];
  for (const item of String(set).split(",")) {
    const [range = "", step = "1"] = item.split("/");
    // A dash between two numbers is a range, "2chunk-1" a difference.
    const [from = "", to = from] = /^\d+-\d+$/.test(range) ? range.split("-") : range.split("..");
    const first = pageCount(from, pagesPerChunk);
    const last = pageCount(to, pagesPerChunk);
    if (last < first) throw new SyntaxError(`A page range must not run backwards: found "${item}"`);
    if (last >= areaPages) {
      throw new SyntaxError(`Page ${last} is outside the area: it has ${areaPages} pages`);
    }
    const stride = pageCount(step, pagesPerChunk);
    if (stride === 0) throw new SyntaxError(`A page range's step must be from 1 up: found "${item}"`);
    if (stride === 1) runs.push({ first, count: last - first + 1 });
    else for (let page = first; page <= last; page += stride) runs.push({ first: page, count: 1 });
  }
  return runs;
}

/** The pages in [start, end), by way of the shorter list. */
export function presentPages(
  pages: ReadonlyMap<number, unknown> | ReadonlySet<number>,
  start: number,
  end: number,
): number[] {
  if (end - start > pages.size) return Array.from(pages.keys()).filter((page) => page >= start && page < end);
  return Array.from({ length: end - start }, (_, i) => start + i).filter((page) => pages.has(page));
}
