// SPDX-License-Identifier: MIT

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
}

const PRESENT = 1n << 63n;
const SWAPPED = 1n << 62n;
const FILE = 1n << 61n;
const FRAME = (1n << 55n) - 1n;

/**
 * Parses the agent's `pages` blob: pairs of u64 (virtual address, raw pagemap entry), little-endian.
 *
 * @throws {SyntaxError} when it is not a whole number of pairs
 */
export function parsePagemap(bytes: Uint8Array): PagemapEntry[] {
  if (bytes.length % 16 !== 0) {
    throw new SyntaxError(`pagemap pairs must be 16 bytes each: found ${bytes.length} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: PagemapEntry[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const raw = view.getBigUint64(at + 8, true);
    const present = (raw & PRESENT) !== 0n;
    entries.push({
      page: Number(view.getBigUint64(at, true) / 4096n),
      present,
      swapped: (raw & SWAPPED) !== 0n,
      file: (raw & FILE) !== 0n,
      frame: present ? raw & FRAME : 0n,
    });
  }
  return entries;
}

/**
 * Whether a page of a private mapping has contents of its own: swapped, or present, anonymous and not the
 * zero page.
 */
export function isAnonymousPage(entry: PagemapEntry, zeroFrame: bigint): boolean {
  return entry.swapped || (entry.present && !entry.file && entry.frame !== zeroFrame);
}
