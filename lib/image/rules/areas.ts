// SPDX-License-Identifier: MIT
import { lastIndex } from "../image.ts";

/** More mappings than a process has, unless it was made to have them. What is beyond is not remembered. */
const MAX_AREAS = 1 << 17;

/** The mappings of a task, for rules about addresses: areas that touch are one. Its memory is bounded. */
export class Areas {
  readonly #starts: bigint[] = [];
  readonly #ends: bigint[] = [];
  #isComplete = true;

  /** Adds one above all before; anything else makes the areas useless. */
  add(start: bigint, end: bigint): void {
    const last = this.#ends.length - 1;
    if (last >= 0 && this.#ends[last] === start) this.#ends[last] = end;
    else if (last >= MAX_AREAS || start >= end || (last >= 0 && start < this.#ends[last]!)) {
      this.#isComplete = false;
    } else {
      this.#starts.push(start);
      this.#ends.push(end);
    }
  }

  /** Whether an address lies in none of them; false when not all of them are known. */
  lacks(address: bigint): boolean {
    if (!this.#isComplete) return false;
    const index = lastIndex(this.#starts.length, (i) => this.#starts[i]! <= address);
    return index < 0 || address >= this.#ends[index]!;
  }
}
