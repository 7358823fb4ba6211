// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../abi/arch.ts";

/** Physical memory of a machine, from address 0 on. */
export interface PhysicalMemory {
  /** Bytes. */
  readonly size: number;
  /** Reads the bytes from an address on, all of which lie in the memory. */
  read(address: number, bytes: Uint8Array): void;
  /** All of it in pieces of whole pages, those near any of the addresses first; each is overwritten by the next one. */
  pieces(near: readonly number[]): Iterable<{ readonly address: number; readonly words: Uint32Array }>;
}

/** How page tables are laid out (Intel SDM, volume 3, chapter 4). */
export interface PagingMode {
  readonly entryWords: 1 | 2;
  /** From the last tables up to the root: the entries of a table, and the pages behind an entry. */
  readonly levels: readonly { readonly entries: number; readonly span: number }[];
}

/** The modes that a kernel may use. */
export const PAGING_MODES: Readonly<Record<"x86_64" | "i386", readonly PagingMode[]>> = {
  // Four levels. Of five, a process has one table of the fourth below 2^48, which serves as its root.
  x86_64: [pagingMode(2, [512, 512, 512, 512])],
  // Two levels, or PAE, whose root has 32 bytes.
  i386: [pagingMode(1, [1024, 1024]), pagingMode(2, [512, 512, 4])],
};

function pagingMode(entryWords: 1 | 2, counts: readonly number[]): PagingMode {
  let span = 1;
  const levels = counts.map((entries) => {
    const level = { entries, span };
    span *= entries;
    return level;
  });
  return { entryWords, levels };
}

/** A page that page tables have an entry for. */
export interface TablePage {
  /** Page number. */
  readonly page: number;
  /** Where it is in memory; undefined where the entry says that it is elsewhere, as in swap. */
  readonly frame: number | undefined;
}

const PRESENT = 1;
const HUGE = 0x80;
/** The highest level whose entries may be of huge pages, of 1 GiB. */
const HUGE_LEVELS = 2;
/** _PAGE_PROTNONE: the processor takes the page for absent, Linux for one without access. */
const NO_ACCESS = 0x100;
/** What an erratum may set in an empty entry (_PAGE_KNL_ERRATUM_MASK): accessed and dirty. */
const ERRATUM = 0x60;
/** In the upper word: bits 51 to 32 of an address. */
const ADDRESS_HIGH = 0xfffff;
const FRAMES_PER_HIGH = 2 ** 20;

type Entry =
  | { readonly kind: "none" | "elsewhere"; readonly frame?: undefined }
  | { readonly kind: "table" | "pages"; readonly frame: number };

const NONE: Entry = { kind: "none" };
const ELSEWHERE: Entry = { kind: "elsewhere" };

/** @param frames how many the memory has */
function decodeEntry([low, high]: readonly [number, number], level: number, frames: number): Entry {
  if ((low & ~ERRATUM) === 0 && high === 0) return NONE;
  const isHuge = level > 0 && level <= HUGE_LEVELS && (low & HUGE) !== 0;
  if (level > 0 && !isHuge && (low & PRESENT) === 0) return ELSEWHERE;
  if (level === 0 && (low & (PRESENT | NO_ACCESS)) === 0) return ELSEWHERE;
  let frame = (high & ADDRESS_HIGH) * FRAMES_PER_HIGH + (low >>> 12);
  // Against L1TF Linux inverts the address in an entry that is not present (pgtable-invert.h), but not with two levels.
  if ((low & PRESENT) === 0 && frame >= frames) {
    frame = (~high & ADDRESS_HIGH) * FRAMES_PER_HIGH + (~low >>> 12);
  }
  return { kind: level === 0 || isHuge ? "pages" : "table", frame };
}

/** Page numbers, from the first to before the end. */
export interface PageRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The pages of ranges that page tables have entries for, in the ranges' order.
 *
 * @param root address of the table of the highest level
 * @returns undefined when there is no end to them, as in what has long been no page table
 */
export function walkPageTables(
  memory: PhysicalMemory,
  { mode, root, ranges }: {
    readonly mode: PagingMode;
    readonly root: number;
    readonly ranges: readonly PageRange[];
  },
): TablePage[] | undefined {
  const { levels, entryWords } = mode;
  const pages: TablePage[] = [];
  const tables = new Map<number, Uint32Array>();
  let steps = 0;
  const wordsOf = (address: number, count: number): Uint32Array => {
    const known = tables.get(address);
    if (known) return known;
    const words = new Uint32Array(count);
    // What has been a table may be anything by now, and lead anywhere.
    if (address + 4 * count <= memory.size) memory.read(address, new Uint8Array(words.buffer));
    tables.set(address, words);
    return words;
  };
  /** @param base the page that its first entry is about */
  const walk = (address: number, level: number, { start, end }: PageRange, base = 0): void => {
    const { entries, span } = levels[level]!;
    const words = wordsOf(address, entries * entryWords);
    for (let i = Math.max(0, Math.floor((start - base) / span)); i < entries; i++) {
      const page = base + i * span;
      if (page >= end || steps > MAX_STEPS) return;
      steps++;
      const entry = decodeEntry(entryAt(words, i * entryWords, entryWords), level, memory.size / PAGE_SIZE);
      const part = { start: Math.max(page, start), end: Math.min(page + span, end) };
      if (entry.kind === "table") {
        walk(entry.frame * PAGE_SIZE, level - 1, part, page);
      } else if (entry.kind !== "none") {
        // The lowest bits of a huge page's address mean other things.
        const first = entry.frame === undefined ? undefined : entry.frame - entry.frame % span - page;
        steps += part.end - part.start;
        for (let page = part.start; page < part.end && steps <= MAX_STEPS; page++) {
          pages.push({ page, frame: first === undefined ? undefined : first + page });
        }
      }
    }
  };
  for (const range of ranges) walk(root, levels.length - 1, range);
  return steps > MAX_STEPS ? undefined : pages;
}

const MAX_STEPS = 1 << 20;

function entryAt(words: Uint32Array, at: number, entryWords: 1 | 2): readonly [number, number] {
  return [words[at]!, entryWords === 2 ? words[at + 1]! : 0];
}

/**
 * Addresses of the tables from which a page leads to where it is known to be in memory: the roots of all processes that
 * have it, and what is left of some that had. Takes one pass over the memory, and tells of those near an address given
 * soon.
 */
export function* findRoots(
  memory: PhysicalMemory,
  mode: PagingMode,
  { page, frame, near }: { readonly page: number; readonly frame: number; readonly near: readonly number[] },
): Generator<number> {
  const { levels, entryWords } = mode;
  const frames = memory.size / PAGE_SIZE;
  /** By level, tables that may lead there, and where their entry leads: -1 for the page itself. */
  const found = levels.map((): [address: number, to: number][] => []);
  const told = new Set<number>();
  let done = 0;
  let next = 0;
  for (const { address, words } of memory.pieces(near)) {
    levels.forEach(({ entries, span }, level) => {
      const index = Math.floor(page / span) % entries * entryWords;
      for (let at = index; at < words.length; at += entries * entryWords) {
        if ((words[at]! & (PRESENT | NO_ACCESS)) === 0) continue;
        const entry = decodeEntry(entryAt(words, at, entryWords), level, frames);
        if (entry.frame === undefined || entry.frame >= frames) continue;
        const isThere = entry.kind === "pages" && entry.frame - entry.frame % span === frame - page % span;
        if (isThere || entry.kind === "table") {
          found[level]!.push([address + (at - index) * 4, isThere ? -1 : entry.frame * PAGE_SIZE]);
        }
      }
    });
    done += words.byteLength;
    if (done < next) continue;
    next = Math.min(done + memory.size / 64, memory.size);
    const roots = found.reduce(
      (below, level) => new Set(level.filter(([, to]) => to < 0 || below.has(to)).map(([at]) => at)),
      new Set<number>(),
    );
    for (const root of roots) if (!told.has(root)) yield root;
    for (const root of roots) told.add(root);
  }
}
