// SPDX-License-Identifier: MIT

/** Something that was waited for did not come in time. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
  /** What was waited for, in words that follow "waiting for". */
  readonly awaited: string;

  constructor(awaited: string, ms: number) {
    super(`waited ${(ms / 1000).toFixed(ms < 1000 ? 2 : 1)} s in vain for ${awaited}`);
    this.awaited = awaited;
  }
}

/** A wait is counted in steps of so many milliseconds. */
const STEP_MS = 1000;
/** A step that takes so much longer was not spent waiting: this process was busy, or the machine. */
const LATE_MS = 250;
/** Steps that are added for that at the end. */
const MAX_EXTRA = 10;

/**
 * Calls back after so many milliseconds of waiting. What came while this process was busy is told before: a
 * timer that is due comes before what was not read yet, so a wait does not end with a step that was late.
 *
 * @returns ends the wait
 */
export function afterWaiting(ms: number, callback: () => void): () => void {
  const step = Math.min(ms, STEP_MS);
  let left = ms;
  let extra = MAX_EXTRA;
  let timer: ReturnType<typeof setTimeout>;
  const next = (): void => {
    const begin = performance.now();
    timer = setTimeout(() => {
      left -= step;
      const isLate = performance.now() - begin > step + LATE_MS;
      if (left > 0 || (isLate && extra-- > 0)) next();
      else callback();
    }, step);
  };
  next();
  return () => clearTimeout(timer);
}

/** Waits for some milliseconds. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for the first of some events, but not longer than so many milliseconds. */
export async function firstWithin(ms: number, events: readonly Promise<void>[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([...events, promise]).finally(() => clearTimeout(timer));
}

/**
 * Waits for a promise, but not longer than `ms` milliseconds. The work behind the promise is not stopped; its
 * later failure goes unnoticed.
 *
 * @throws {DeadlineError} that names what was awaited.
 */
export async function withDeadline<T>(work: Promise<T>, ms: number, awaited: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = afterWaiting(ms, () => reject(new DeadlineError(awaited, ms)));
  try {
    return await Promise.race([work, promise]);
  } finally {
    stop();
    work.catch(() => {});
  }
}
