// SPDX-License-Identifier: MIT

import type { Guest } from "../run/guest/guest.ts";
import { parseSplats } from "./parse_splats.ts";

/** Where last words are read: a guest, or what stands for one that never said hello. */
export type TalkingGuest = Pick<Guest, "consoleText" | "consoleGrown" | "ended">;

/** How long {@linkcode awaitLastWords} waits. */
export interface LastWordsOptions {
  /** Longest wait, in milliseconds. */
  readonly mostMs?: number;
  /** Silence after a whole report that is taken for its end, in milliseconds. */
  readonly quietMs?: number;
}

/** A lockup or a slow oops on another processor may come this long after the guest stopped to answer. */
const MOST_MS = 3_000;
const QUIET_MS = 150;

/**
 * Waits for what a kernel in trouble still has to say: until each report is there to its end and nothing
 * follows, until the guest has ended, or until the time is over.
 *
 * @param from mark in the console from which on it is read
 */
export async function awaitLastWords(
  guest: TalkingGuest,
  from: number,
  { mostMs = MOST_MS, quietMs = QUIET_MS }: LastWordsOptions = {},
): Promise<void> {
  const end = performance.now() + mostMs;
  let hasEnded = false;
  const ended = guest.ended.then(() => void (hasEnded = true));
  for (let left = mostMs; left > 0 && !hasEnded; left = end - performance.now()) {
    const splats = parseSplats(guest.consoleText(from));
    const isWhole = splats.length > 0 && splats.every(({ isComplete }) => isComplete);
    const grew = guest.consoleGrown.then(() => true);
    const timer = timeout(isWhole ? Math.min(quietMs, left) : left);
    const hasGrown = await Promise.race([grew, ended, timer.done]).finally(timer.stop);
    if (isWhole && hasGrown !== true) return;
    // A report comes in hundreds of pieces: one look for many of them.
    const pause = timeout(Math.min(20, Math.max(0, end - performance.now())));
    await Promise.race([pause.done, ended]).finally(pause.stop);
  }
}

function timeout(ms: number): { done: Promise<void>; stop: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return { done: promise, stop: () => clearTimeout(timer) };
}
