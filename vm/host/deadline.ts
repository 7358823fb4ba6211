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

/** The longest that a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Waits for some milliseconds. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Waits for a promise, but not longer than `ms` milliseconds. The work behind the promise is not stopped; its
 * later failure goes unnoticed.
 *
 * @throws {DeadlineError} that names what was awaited.
 */
export async function withDeadline<T>(work: Promise<T>, ms: number, awaited: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new DeadlineError(awaited, ms)), Math.min(ms, MAX_TIMER_MS));
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}
