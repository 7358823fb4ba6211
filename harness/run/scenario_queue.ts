// SPDX-License-Identifier: MIT

import type { Scenario } from "../../lib/model/scenario.ts";

/** What scenarios took in an earlier run, in milliseconds, by their names. */
export type ScenarioTimes = ReadonlyMap<string, number>;

/** A scenario that nobody has run takes as long as most do, in milliseconds. */
const USUAL_MS = 60;
/** What the start of a guest costs, in milliseconds. */
const BOOT_MS = 600;
/** How many times as long as the longest scenario the rest of the run must take for that to wait. */
const MARGIN = 2;

/**
 * The scenarios that are left, for guests that run side by side. They go in the order of the catalogue, so that results
 * can be shown while they come; but the longest goes first as soon as the rest takes not much longer than it, and none
 * is left to run alone at the end.
 */
export class ScenarioQueue {
  readonly #rest: Scenario[];
  readonly #longest: Scenario[];
  readonly #times: ScenarioTimes;
  readonly #guests: number;
  #restMs: number;

  /** @param guests how many run side by side at most */
  constructor(scenarios: readonly Scenario[], { times, guests }: { times: ScenarioTimes; guests: number }) {
    this.#rest = [...scenarios];
    this.#times = times;
    this.#guests = guests;
    this.#restMs = scenarios.reduce((sum, one) => sum + this.#timeOf(one), 0);
    // Those of unknown time stay where the catalogue has them.
    this.#longest = scenarios.filter(({ name }) => times.has(name))
      .toSorted((a, b) => this.#timeOf(b) - this.#timeOf(a));
  }

  /** The one to be run next; undefined when none is left. */
  next(): Scenario | undefined {
    const longest = this.#longest[0];
    const isLate = longest !== undefined && this.#guests > 1 &&
      this.#restMs / this.#guests < MARGIN * this.#timeOf(longest);
    const next = isLate ? longest : this.#rest[0];
    if (!next) return undefined;
    this.#restMs -= this.#timeOf(next);
    remove(this.#rest, next);
    remove(this.#longest, next);
    return next;
  }

  /** Gives back what could not be run. */
  putBack(scenario: Scenario): void {
    this.#rest.unshift(scenario);
    this.#restMs += this.#timeOf(scenario);
  }

  /** Whether a guest more ends the run sooner. */
  isWorthAGuest(running: number): boolean {
    return this.#rest.length > 0 && (running === 0 || this.#restMs / running > 2 * BOOT_MS);
  }

  #timeOf({ name }: Scenario): number {
    return this.#times.get(name) ?? USUAL_MS;
  }
}

function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
