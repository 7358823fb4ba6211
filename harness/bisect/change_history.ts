// SPDX-License-Identifier: MIT

/** A change of a kernel: a commit, or a patch of a series. */
export interface Change {
  /** Hash of the commit. */
  readonly id: string;
  /** What people call it: a short hash, or the file name of a patch. */
  readonly name: string;
  /** First line of its message. */
  readonly title: string;
  /** `NAME <EMAIL>`. */
  readonly author: string;
  /** When it was written, as ISO 8601. */
  readonly date: string;
  /** Ids of the changes that it was made on; those outside the history count for nothing. */
  readonly parents: readonly string[];
}

/** Changes with what each of them was made on, the good end first. */
export class ChangeHistory {
  readonly changes: readonly Change[];
  readonly #index: ReadonlyMap<string, number>;
  readonly #parents: readonly (readonly number[])[];

  /**
   * @param changes each behind its parents
   * @throws {RangeError} when one comes before its parent, or twice
   */
  constructor(changes: readonly Change[]) {
    this.changes = changes;
    const index = new Map<string, number>();
    for (const [at, { id }] of changes.entries()) {
      if (index.has(id)) throw new RangeError(`change ${id} is there twice`);
      index.set(id, at);
    }
    this.#index = index;
    this.#parents = changes.map(({ id, parents }, at) =>
      parents.flatMap((parent) => {
        const before = index.get(parent);
        if (before === undefined) return [];
        if (before >= at) throw new RangeError(`change ${id} comes before its parent ${parent}`);
        return [before];
      })
    );
  }

  /** @throws {RangeError} when there is none with this id */
  get(id: string): Change {
    const at = this.#index.get(id);
    if (at === undefined) throw new RangeError(`no change ${id} in the history`);
    return this.changes[at]!;
  }

  /** Ids of a change and of all that it was made on, directly or not. */
  ancestors(id: string): Set<string> {
    const seen = new Set([this.#index.get(this.get(id).id)!]);
    for (const at of seen) for (const parent of this.#parents[at]!) seen.add(parent);
    return new Set([...seen].map((at) => this.changes[at]!.id));
  }

  /**
   * For each of the changes, in their order here, how many of them it contains, itself among them: so many
   * are cleared when it is good.
   */
  weights(among: ReadonlySet<string>): Map<string, number> {
    const inside = this.changes.map(({ id }) => among.has(id));
    const weights = new Int32Array(this.changes.length);
    const seen = new Int32Array(this.changes.length).fill(-1);
    const result = new Map<string, number>();
    for (const [at, { id }] of this.changes.entries()) {
      if (!inside[at]) continue;
      const parents = this.#parents[at]!.filter((parent) => inside[parent]);
      // Only where lines of history meet must the changes be counted one by one.
      weights[at] = parents.length > 1
        ? this.#count(at, inside, seen)
        : 1 + (parents.length === 0 ? 0 : weights[parents[0]!]!);
      result.set(id, weights[at]!);
    }
    return result;
  }

  #count(from: number, inside: readonly boolean[], seen: Int32Array): number {
    const stack = [from];
    seen[from] = from;
    let count = 0;
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      count++;
      for (const parent of this.#parents[at]!) {
        if (!inside[parent] || seen[parent] === from) continue;
        seen[parent] = from;
        stack.push(parent);
      }
    }
    return count;
  }
}

/**
 * Which change to try next: the one that parts the suspects most evenly. After a skip it looks elsewhere, at
 * a quarter, at three quarters and so on, since what does not build seldom stands alone.
 *
 * @param suspects ids of the changes that may be the first bad one
 * @param untried those of them that can be tried
 * @param skips how many of the suspects were skipped
 */
export function pickChange(
  history: ChangeHistory,
  { suspects, untried, skips }: {
    suspects: ReadonlySet<string>;
    untried: ReadonlySet<string>;
    skips: number;
  },
): Change | undefined {
  const place = suspects.size * evenPlace(skips);
  let best: { id: string; distance: number } | undefined;
  for (const [id, weight] of history.weights(suspects)) {
    const distance = Math.abs(weight - place);
    if (untried.has(id) && (best === undefined || distance < best.distance)) best = { id, distance };
  }
  return best && history.get(best.id);
}

/** 1/2, 1/4, 3/4, 1/8, 5/8, ...: places that lie evenly however many are taken (van der Corput). */
function evenPlace(index: number): number {
  let place = 0;
  for (let [rest, share] = [index + 1, 0.5]; rest > 0; rest >>= 1, share /= 2) place += (rest & 1) * share;
  return place;
}
