// SPDX-License-Identifier: MIT

import type { Terminal } from "../../report/terminal.ts";
import { expectedSeconds } from "../plan/job_durations.ts";
import { formatDuration } from "../../run/quantity.ts";

/** How far a nightly run is. */
export interface RunState {
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  /** Names of jobs, and since when (performance.now()). */
  readonly running: ReadonlyMap<string, number>;
  readonly waiting: readonly string[];
  readonly slots: number;
}

/** Shows how far a nightly run is: a line that is written over on a terminal, a line per stage elsewhere. */
export class NightlyProgress implements Disposable {
  /** What is going on; to be shown at once by {@linkcode NightlyProgress.show}. */
  state: RunState | undefined;
  readonly #terminal: Terminal;
  readonly #durations: ReadonlyMap<string, number>;
  readonly #timer = setInterval(() => this.show(), 1000);

  constructor(terminal: Terminal, durations: ReadonlyMap<string, number>) {
    this.#terminal = terminal;
    this.#durations = durations;
  }

  show(): void {
    if (!this.state || this.state.running.size === 0) return;
    const line = progressLine(this.state, this.#durations, performance.now());
    this.#terminal.status(line, [...this.state.running.keys()].join(", "));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#terminal.clearStatus();
  }
}

/** The status line. */
export function progressLine(state: RunState, durations: ReadonlyMap<string, number>, now: number): string {
  const running = [...state.running.keys()];
  const left = secondsLeft(state, durations, now);
  const counts = [
    `nightly: ${state.done} of ${state.total} jobs done`,
    `${state.failed} failed`,
    `${running.length} running`,
    left === undefined ? "time left not known" : `about ${formatDuration(left)} left`,
  ].join(", ");
  // The names come last: a narrow terminal cuts the line there.
  return `${counts}: ${running.join(", ")}`;
}

/**
 * How long the rest takes, by what jobs took before; one that never ran counts as the middle of the others.
 * Undefined when none ever ran.
 */
export function secondsLeft(
  { running, waiting, slots }: Pick<RunState, "running" | "waiting" | "slots">,
  durations: ReadonlyMap<string, number>,
  now: number,
): number | undefined {
  if (durations.size === 0) return undefined;
  const whole = (name: string): number => expectedSeconds(name, durations) ?? 0;
  const rest = [...running].map(([name, since]) => Math.max(whole(name) - (now - since) / 1000, 1));
  const all = [...rest, ...waiting.map(whole)];
  const sum = all.reduce((total, seconds) => total + seconds, 0);
  return Math.max(sum / slots, ...all, 0);
}
