// SPDX-License-Identifier: MIT

import type { Guest } from "../run/guest/guest.ts";
import { parseSplats } from "./parse_splats.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import type { VirtualMachine } from "../../vm/qemu/virtual_machine.ts";

/** Whose console is drained: a guest, or what stands for one that never said hello. */
type ConsoleSource = Pick<Guest, "console" | "ended">;

/** How long {@linkcode drainConsole} waits. */
export interface DrainOptions {
  readonly maxMs?: number;
  /** Silence after a whole report that is taken for its end, in milliseconds. */
  readonly quietMs?: number;
}

/** A lockup or a slow oops on another processor may come this long after the guest stopped to answer. */
const MAX_MS = 3_000;
const QUIET_MS = 150;
/** A report comes in hundreds of pieces: one look for many of them. */
const PAUSE_MS = 20;

/**
 * Waits for what a kernel in trouble still has to say: until each report is there to its end and nothing
 * follows, until the guest has ended, or until the time is over.
 *
 * @param from mark in the console from which on it is read
 */
export async function drainConsole(
  guest: ConsoleSource,
  from: number,
  { maxMs = MAX_MS, quietMs = QUIET_MS }: DrainOptions = {},
): Promise<void> {
  const end = performance.now() + maxMs;
  let hasEnded = false;
  const ended = guest.ended.then(() => void (hasEnded = true));
  for (let left = maxMs; left > 0 && !hasEnded; left = end - performance.now()) {
    const splats = parseSplats(guest.console.text(from));
    const isWhole = splats.length > 0 && splats.every(({ isComplete }) => isComplete);
    let hasGrown = false;
    const grew = guest.console.grown.then(() => void (hasGrown = true));
    await within(isWhole ? Math.min(quietMs, left) : left, [grew, ended]);
    if (isWhole && !hasGrown) return;
    await within(Math.min(PAUSE_MS, Math.max(0, end - performance.now())), [ended]);
  }
}

/** Waits for the first of these, but not longer than so many milliseconds. */
export async function within(ms: number, events: readonly Promise<void>[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([...events, promise]).finally(() => clearTimeout(timer));
}

/**
 * For a guest that was lost before it said hello: drains its console, and gives the error with the whole of it. Other
 * errors stay as they are.
 */
export async function withDrainedConsole(
  error: unknown,
  machine: Pick<VirtualMachine, "console" | "exited">,
): Promise<unknown> {
  if (!(error instanceof GuestLostError)) return error;
  const { console } = machine;
  await drainConsole({ console, ended: machine.exited }, 0);
  const { reason, awaited, detail, argv } = error;
  return new GuestLostError({
    ...{ reason, awaited, detail, argv },
    consoleTail: console.tail(),
    consoleText: console.text(),
  });
}
