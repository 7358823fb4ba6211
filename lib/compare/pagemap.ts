// SPDX-License-Identifier: MIT
import { PAGE_SIZE_BIG } from "../abi/arch.ts";
import { dataView } from "../bytes.ts";

/** A page that /proc/PID/pagemap shows as present or swapped (Documentation/admin-guide/mm/pagemap.rst). */
export interface PagemapEntry {
  /** Page number. */
  readonly page: number;
  /** It is in memory. */
  readonly present: boolean;
  /** It is in swap. */
  readonly swapped: boolean;
  /** File-backed or shared anonymous: never dumped from a private mapping. */
  readonly file: boolean;
  /** Page frame number, 0n when swapped or hidden. */
  readonly frame: bigint;
  /**
   * Set for an entry of 32 bits, as i386 kernels before 2.6.30 give it: the page is in memory or in swap, and nothing
   * says which, nor whether it is the file's own.
   */
  readonly isCut?: true;
}

/** Bits of a raw entry: the page is in memory, or in swap. */
export const [PRESENT, SWAPPED] = [1n << 63n, 1n << 62n] as const;
const FILE = 1n << 61n;
/**
 * A mark of userfaultfd where there is no page (PTE_MARKER_UFFD_WP, Linux 5.19): shown as if in swap, of a type that no
 * swap device has (SWP_PTE_MARKER, include/linux/swap.h: 30 in Linux 6.1, 31 since 6.2), with the mark as the offset.
 */
const WRITE_PROTECTED = 1n << 57n;
const MARKS = [30n, 31n].map((type) => type | 1n << 5n);
const FRAME = (1n << 55n) - 1n;
/** What is left of an entry of which an i386 kernel before 2.6.30 filled in the lower 32 bits alone. */
const CUT_FRAME = 0xffff_ffffn;

/**
 * The agent's `pages` blob: pairs of u64 (virtual address, raw pagemap entry), little-endian.
 *
 * @throws {SyntaxError} when it is not a whole number of pairs
 */
export function* rawPagemap(bytes: Uint8Array): Generator<[address: bigint, entry: bigint], void, void> {
  if (bytes.length % 16 !== 0) {
    throw new SyntaxError(`pagemap pairs must be 16 bytes each: found ${bytes.length} bytes`);
  }
  const view = dataView(bytes);
  for (let at = 0; at < bytes.length; at += 16) {
    yield [view.getBigUint64(at, true), view.getBigUint64(at + 8, true)];
  }
}

/** Reads {@linkcode rawPagemap}, and throws as it does. */
export function parsePagemap(bytes: Uint8Array): PagemapEntry[] {
  const entries: PagemapEntry[] = [];
  for (const [address, raw] of rawPagemap(bytes)) {
    const isMark = (raw & SWAPPED) !== 0n && (raw & WRITE_PROTECTED) !== 0n && MARKS.includes(raw & FRAME);
    const swapped = (raw & SWAPPED) !== 0n && !isMark;
    // The frame of a page that is neither is 0 where the entry is whole.
    const isCut = (raw & (PRESENT | SWAPPED)) === 0n && (raw & CUT_FRAME) !== 0n;
    const present = (raw & PRESENT) !== 0n || isCut;
    entries.push({
      page: Number(address / PAGE_SIZE_BIG),
      present,
      swapped,
      file: (raw & FILE) !== 0n,
      frame: present ? raw & (isCut ? CUT_FRAME : FRAME) : 0n,
      ...(isCut ? { isCut } : {}),
    });
  }
  return entries;
}

/**
 * Whether a page of a private mapping has contents of its own: swapped, or present, anonymous and not the zero page.
 */
export function isAnonymousPage(entry: PagemapEntry, zeroFrame: bigint | undefined): boolean {
  return entry.swapped || (entry.present && !entry.file && entry.frame !== zeroFrame);
}
