// SPDX-License-Identifier: MIT

/** One place in an {@linkcode Order}. */
export interface Turn {
  /** Does it now, or once all turns before this one are over. */
  do(work: () => void): void;
  /** Lets the next turn come. */
  end(): void;
}

/** Has work that comes about side by side done one after the other, in the order in which the turns were given. */
export class Order {
  readonly #open: { readonly works: (() => void)[]; isOver: boolean }[] = [];

  turn(): Turn {
    const own = { works: [] as (() => void)[], isOver: false };
    this.#open.push(own);
    return {
      do: (work) => {
        own.works.push(work);
        this.#goOn();
      },
      end: () => {
        own.isOver = true;
        this.#goOn();
      },
    };
  }

  /** Does all that waits, though some turns never end. */
  endAll(): void {
    for (const turn of this.#open) turn.isOver = true;
    this.#goOn();
  }

  #goOn(): void {
    for (let first; (first = this.#open[0]);) {
      for (let work; (work = first.works.shift());) work();
      if (!first.isOver) return;
      this.#open.shift();
    }
  }
}
