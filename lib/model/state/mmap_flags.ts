// SPDX-License-Identifier: MIT

/** mmap(2) protection bits (include/uapi/asm-generic/mman-common.h). */
export const PROT = { r: 1, w: 2, x: 4 } as const;

/** mmap(2) flag bits by the word that scenarios use (include/uapi/asm-generic/mman*.h). */
export const MAP_FLAGS: Readonly<Record<string, number>> = {
  shared: 0x01,
  private: 0x02,
  fixed: 0x10,
  anonymous: 0x20,
  growsdown: 0x100,
  locked: 0x2000,
  noreserve: 0x4000,
  populate: 0x8000,
  nonblock: 0x10000,
  stack: 0x20000,
  hugetlb: 0x40000,
  fixed_noreplace: 0x100000,
};

/** mlockall(2) flag bits (include/uapi/asm-generic/mman.h). */
export const MCL: Readonly<Record<string, number>> = { current: 1, future: 2, onfault: 4 };

/** madvise(2) advice values (include/uapi/asm-generic/mman-common.h). */
export const MADV: Readonly<Record<string, number>> = {
  normal: 0,
  random: 1,
  sequential: 2,
  willneed: 3,
  dontneed: 4,
  free: 8,
  dontfork: 10,
  dofork: 11,
  mergeable: 12,
  unmergeable: 13,
  hugepage: 14,
  nohugepage: 15,
  dontdump: 16,
  dodump: 17,
  wipeonfork: 18,
  keeponfork: 19,
  cold: 20,
  pageout: 21,
  populate_read: 22,
  populate_write: 23,
  hwpoison: 100,
};

/** The protection bits of "rwx", "r--", "none" and the like. */
export function protBits(text: string): number {
  if (text === "none" || text === "---") return 0;
  let bits = 0;
  for (const letter of text.replaceAll("-", "")) {
    if (letter !== "r" && letter !== "w" && letter !== "x") {
      throw new SyntaxError(`A protection must be made of r, w, x and -, or "none": found "${text}"`);
    }
    bits |= PROT[letter];
  }
  return bits;
}

/** The bits of a list of words in a table. */
export function flagBits(
  words: readonly string[],
  table: Readonly<Record<string, number>>,
  what: string,
): number {
  let bits = 0;
  for (const word of words) {
    const bit = table[word];
    if (bit === undefined) {
      throw new SyntaxError(`A ${what} must be one of ${Object.keys(table).join(", ")}: found "${word}"`);
    }
    bits |= bit;
  }
  return bits;
}
