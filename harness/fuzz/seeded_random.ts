// SPDX-License-Identifier: MIT

/** Mulberry32: uniform integers from 0 to 2^32 - 1, always the same ones from one seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** The seed of one of many sequences: it does not depend on how many are drawn. */
export function seedOf(seed: number, index: number): number {
  return (Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(seed ^ (seed >>> 15), 0x85ebca6b)) >>> 0;
}
