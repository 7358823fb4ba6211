// SPDX-License-Identifier: MIT

/** mmap(2) protection bits (include/uapi/asm-generic/mman-common.h). */
export const PROT = { r: 1, w: 2, x: 4 } as const;

/** mmap(2) flag bits by the word that scenarios use (include/uapi/asm-generic/mman*.h). */
export const MAP_FLAGS = {
  shared: 0x01,
  private: 0x02,
  droppable: 0x08,
  growsdown: 0x100,
  locked: 0x2000,
  noreserve: 0x4000,
  populate: 0x8000,
  nonblock: 0x10000,
  stack: 0x20000,
  hugetlb: 0x40000,
} as const;

/** The flag of memory without a file. */
export const MAP_ANONYMOUS = 0x20;

/** The flag of a mapping at a certain place, where nothing is. */
export const MAP_FIXED_NOREPLACE = 0x100000;

/** mlockall(2) flag bits (include/uapi/asm-generic/mman.h). */
export const MCL = { current: 1, future: 2, onfault: 4 } as const;

/** A protection as scenarios say it. */
export const PROTECTIONS = ["none", "r", "w", "x", "rw", "rx", "wx", "rwx"] as const;

/** One of {@linkcode PROTECTIONS}. */
type Protection = (typeof PROTECTIONS)[number];

/** The bits of a protection. */
export function protBits(protection: Protection): number {
  const has = (letter: string): boolean => protection !== "none" && protection.includes(letter);
  return (has("r") ? PROT.r : 0) | (has("w") ? PROT.w : 0) | (has("x") ? PROT.x : 0);
}

/** The bits of a list of words in a table. */
export function flagBits<Word extends string>(
  words: readonly Word[],
  table: Readonly<Record<Word, number>>,
): number {
  return words.reduce((bits, word) => bits | table[word], 0);
}
