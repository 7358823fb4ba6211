// SPDX-License-Identifier: MIT

/** A small generator of our own (xorshift): the same numbers below a bound each time, for a seed that is not 0. */
export function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
