// SPDX-License-Identifier: MIT

/**
 * What explains a byte of an image:
 * - `predicted`: the model or the format computes it exactly;
 * - `observed`: another kernel interface said so of the stopped target;
 * - `volatile`: declared by name with a reason, and checked as far as can be.
 */
export type ByteClass = "predicted" | "observed" | "volatile";

const CODES: Readonly<Record<ByteClass, 1 | 2 | 3>> = { predicted: 1, observed: 2, volatile: 3 };

/** Bytes of an image by class. */
export interface ByteCounts {
  /** Bytes in the image. */
  total: number;
  /** Computed by the model or the format. */
  predicted: number;
  /** Shown by another kernel interface. */
  observed: number;
  /** Declared by name, with a reason. */
  volatile: number;
  /** Explained by nothing: one of them fails. */
  unexplained: number;
}

/** Counts which bytes of an image are explained, and by what. A byte claimed twice keeps its first class. */
export class ByteAccount {
  readonly #classes: Uint8Array;
  /** Bytes marked with each code; nothing is marked with code 0. */
  readonly #marked: [number, number, number, number] = [0, 0, 0, 0];
  readonly #volatile = new Map<string, { bytes: number; reason: string }>();

  /**
   * An account of nothing yet.
   *
   * @param length bytes in the image
   */
  constructor(length: number) {
    this.#classes = new Uint8Array(length);
  }

  /** Explains `length` bytes at `offset`. */
  claim(offset: number, length: number, byteClass: "predicted" | "observed"): void {
    this.#mark(offset, length, CODES[byteClass]);
  }

  /** Declares bytes volatile, by name and reason. */
  claimVolatile(offset: number, length: number, declaration: { name: string; reason: string }): void {
    const marked = this.#mark(offset, length, CODES.volatile);
    const entry = this.#volatile.get(declaration.name) ?? { bytes: 0, reason: declaration.reason };
    entry.bytes += marked;
    this.#volatile.set(declaration.name, entry);
  }

  /** The volatile bytes by name. */
  get volatileNames(): ReadonlyMap<string, { readonly bytes: number; readonly reason: string }> {
    return this.#volatile;
  }

  /** Bytes by class. */
  counts(): ByteCounts {
    const [, predicted, observed, volatile] = this.#marked;
    const total = this.#classes.length;
    return { total, predicted, observed, volatile, unexplained: total - predicted - observed - volatile };
  }

  /** The first unexplained runs, at most `most` of them. */
  unexplainedRuns(most = 8): { offset: number; length: number }[] {
    const runs: { offset: number; length: number }[] = [];
    let at = this.#classes.indexOf(0);
    while (at >= 0 && runs.length < most) {
      let end = at;
      while (end < this.#classes.length && this.#classes[end] === 0) end++;
      runs.push({ offset: at, length: end - at });
      at = this.#classes.indexOf(0, end);
    }
    return runs;
  }

  #mark(offset: number, length: number, code: 1 | 2 | 3): number {
    const part = this.#classes.subarray(offset, offset + length);
    if (part.length !== length) {
      throw new RangeError(`Bytes ${offset} to ${offset + length} lie outside the image`);
    }
    let marked = 0;
    for (let i = 0; i < part.length; i++) {
      if (part[i] !== 0) continue;
      part[i] = code;
      marked++;
    }
    this.#marked[code] += marked;
    return marked;
  }
}

/** Adds `more` to `sum`. */
export function addCounts(sum: ByteCounts, more: ByteCounts): void {
  for (const key of Object.keys(sum) as (keyof ByteCounts)[]) sum[key] += more[key];
}
