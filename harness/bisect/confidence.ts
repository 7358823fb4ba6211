// SPDX-License-Identifier: MIT

/** What runs of bad changes gave. */
export interface FailureRate {
  /** Runs that showed the failure. */
  readonly failed: number;
  /** All runs of bad changes that could have shown it. */
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

/**
 * How many passes in a row are needed for {@linkcode missProbability} to be at most `allowed`; `max` at most.
 */
export function passesNeeded(rate: FailureRate, allowed: number, max: number): number {
  for (let passes = 1; passes < max; passes++) if (missProbability(passes, rate) <= allowed) return passes;
  return max;
}

/** The runs of a change. */
interface TriedChange {
  /** Ids of the change and of all those that it was made on, back to the good end. */
  readonly contains: ReadonlySet<string>;
  readonly failed: number;
  readonly passed: number;
}

/**
 * The probability that the first bad change is one of these. Before any run each change is as likely as any
 * other to be it, and the good end as likely as one of them to be bad.
 *
 * @param all ids of all changes, the good end among them
 */
export function answerConfidence(
  answer: readonly string[],
  { all, tried }: { all: readonly string[]; tried: readonly TriedChange[] },
): number {
  let [inside, sum] = [0, 0];
  const wanted = new Set(answer);
  for (const id of all) {
    let [failed, passed, fits] = [0, 0, true];
    for (const one of tried) {
      if (one.contains.has(id)) [failed, passed] = [failed + one.failed, passed + one.passed];
      else if (one.failed > 0) fits = false;
    }
    const weight = fits ? likelihood({ failed, passed }) : 0;
    sum += weight;
    if (wanted.has(id)) inside += weight;
  }
  return sum === 0 ? 0 : inside / sum;
}

/**
 * How likely so many failed and passed runs of bad changes are, up to a factor that all changes have in common. Of
 * their rate no more is known than above.
 */
export function likelihood({ failed, passed }: Pick<TriedChange, "failed" | "passed">): number {
  let unsteady = 1;
  // The Beta function of failed + 1 and passed + 1, factor by factor.
  for (let index = 1; index <= passed; index++) unsteady *= index / (failed + index);
  unsteady /= failed + passed + 1;
  return (passed === 0 ? STEADY : 0) + (1 - STEADY) * unsteady;
}
