// SPDX-License-Identifier: MIT

/** What runs of bad changes gave: those that showed the failure, and all that could have shown it. */
export interface FailureRate {
  readonly failed: number;
  readonly runs: number;
}

/**
 * Share of failures that are taken to show in each run, before any run; all others have some rate, each as
 * likely as any other. With 0.9 in place of it, answers on failures that show in 7 of 10 runs were said to be
 * wrong in 1 of 100 cases, and were in 7 (simulated).
 */
const STEADY = 0.5;

/**
 * The probability that a bad change passes so many runs in a row, from what is known of the failure's rate. A
 * failure that was seen to be absent once is not steady.
 */
export function missProbability(passes: number, { failed, runs }: FailureRate): number {
  const passed = runs - failed;
  if (passes === 0) return 1;
  const unsteady = passed > 0 ? 1 : (1 - STEADY) / (1 - STEADY + STEADY * (runs + 1));
  let miss = unsteady;
  for (let pass = 0; pass < passes; pass++) miss *= (passed + 1 + pass) / (runs + 2 + pass);
  return miss;
}

/** How many passes in a row are needed for {@linkcode missProbability} to be at most `allowed`; `max` at most. */
export function passesNeeded(rate: FailureRate, allowed: number, max: number): number {
  for (let passes = 1; passes < max; passes++) if (missProbability(passes, rate) <= allowed) return passes;
  return max;
}

/**
 * How likely so many failed and passed runs of bad changes are, up to a factor that all changes have in common. Of
 * their rate no more is known than above.
 */
export function likelihood({ failed, passed }: { failed: number; passed: number }): number {
  let unsteady = 1;
  // The Beta function of failed + 1 and passed + 1, factor by factor.
  for (let index = 1; index <= passed; index++) unsteady *= index / (failed + index);
  unsteady /= failed + passed + 1;
  return (passed === 0 ? STEADY : 0) + (1 - STEADY) * unsteady;
}
