// SPDX-License-Identifier: MIT

import { isBroken, type ScenarioRecord } from "./run_result.ts";

/** Ends a run, on all its kernels, after so many failures. */
export class FailureLimit {
  readonly #limit: number;
  #count = 0;
  #hasEnded = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts a result if it is a failure. */
  add(result: Pick<ScenarioRecord, "status">): void {
    if (isBroken(result)) this.#count++;
  }

  /** Asked before each scenario: whether it is not to be begun. */
  ends(): boolean {
    this.#hasEnded ||= this.#count >= this.#limit;
    return this.#hasEnded;
  }

  /** Why scenarios were not run; undefined when all were. */
  get stopped(): string | undefined {
    return this.#hasEnded ? `--bail: ${this.#count} failed` : undefined;
  }
}
