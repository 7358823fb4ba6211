// SPDX-License-Identifier: MIT

import type { Terminal } from "../../report/terminal.ts";
import { medianOf } from "../history/compare_history.ts";
import { formatDuration } from "../../run/quantity.ts";
import type { RunState } from "./run_jobs.ts";

/** Shows how far a nightly run is: a line that is written over on a terminal, a line per stage elsewhere. */
export class NightlyProgress implements Disposable {
  readonly #terminal: Terminal;
  readonly #durations: ReadonlyMap<string, number>;
  readonly #timer: ReturnType<typeof setInterval>;
  #state: RunState | undefined;

  constructor(terminal: Terminal, durations: ReadonlyMap<string, number>) {
    this.#terminal = terminal;
    this.#durations = durations;
    this.#timer = setInterval(() => this.#show(), 1000);
  }

  /** Takes note of what is going on. */
  update(state: RunState): void {
    this.#state = state;
    this.#show();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#terminal.clearStatus();
  }

  #show(): void {
    const state = this.#state;
    if (!state) return;
    const [first] = state.running.keys();
    if (first === undefined) return;
    const line = progressLine(state, this.#durations, performance.now());
    this.#terminal.status(line, [...state.running.keys()].join(", "));
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
    ...left === undefined ? [] : [`about ${formatDuration(left)} left`],
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
  const unknown = medianOf([...durations.values()]);
  if (unknown === undefined) return undefined;
  const rest = [...running].map(([name, since]) =>
    Math.max((durations.get(name) ?? unknown) - (now - since) / 1000, 1)
  );
  const all = [...rest, ...waiting.map((name) => durations.get(name) ?? unknown)];
  const sum = all.reduce((total, seconds) => total + seconds, 0);
  return Math.max(sum / slots, ...all, 0);
}
