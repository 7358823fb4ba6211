// SPDX-License-Identifier: MIT

/** Room for so many guests at a time; who asked first comes first. */
export class GuestSlots {
  /** How many guests run at a time. */
  readonly count: number;
  #free: number;
  #platforms: number;
  readonly #waiting: (() => void)[] = [];
  readonly #waitingForMore: (() => void)[] = [];

  /** @param platforms how many share the room: each asks for its {@linkcode share} once */
  constructor(count: number, platforms = 1) {
    this.count = count;
    this.#free = count;
    this.#platforms = platforms;
  }

  /**
   * How many guests a platform begins with. Each guest translates the kernel's code anew: one for each of two platforms
   * costs less than two for one and then for the other.
   */
  share(): number {
    const share = Math.ceil(this.#free / Math.max(this.#platforms, 1));
    this.#platforms--;
    return Math.max(share, 1);
  }

  /** Does some work once there is room for it, that of `more` guests when nobody else wants the room that came free. */
  async with(work: () => Promise<void>, { more = false } = {}): Promise<void> {
    const waiting = more ? this.#waitingForMore : this.#waiting;
    if (this.#free > 0 && !more) this.#free--;
    else await new Promise<void>((resolve) => void waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = this.#waiting.shift() ?? this.#waitingForMore.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
