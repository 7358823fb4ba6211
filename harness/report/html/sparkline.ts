// SPDX-License-Identifier: MIT

import { type Markup, markup } from "./markup.ts";

/** One value over time; `isBad` marks it. */
interface SparkPoint {
  /** Undefined where there is none: the line has a gap. */
  readonly value: number | undefined;
  readonly isBad: boolean;
}

const WIDTH = 132;
const HEIGHT = 30;
const MARGIN = 4;

/**
 * A line of values without axes, to be read with the words beside it. The last point is marked, and those that
 * are bad.
 *
 * @param text what it shows, for who cannot see it
 */
export function sparkline(points: readonly SparkPoint[], text: string): Markup {
  const values = points.flatMap(({ value }) => value ?? []);
  if (values.length === 0) return markup`<span class="soft">no data</span>`;
  const low = Math.min(...values);
  const high = Math.max(...values);
  // A difference of a few percent must not look like a cliff.
  const range = Math.max(high - low, high * 0.2, 1e-9);
  const middle = (high + low) / 2;
  const x = (index: number): number =>
    round(MARGIN + index * (WIDTH - 2 * MARGIN) / Math.max(1, points.length - 1));
  const y = (value: number): number => round(HEIGHT / 2 - (value - middle) / range * (HEIGHT - 2 * MARGIN));
  let path = "";
  let isOpen = false;
  for (const [index, { value }] of points.entries()) {
    if (value !== undefined) path += `${isOpen ? "L" : "M"}${x(index)} ${y(value)}`;
    isOpen = value !== undefined;
  }
  const dots = points.map(({ value, isBad }, index) => {
    const isLast = index === points.length - 1;
    if (value === undefined || !(isBad || isLast)) return undefined;
    return markup`<circle${isBad ? markup` class="c-differs"` : undefined} cx="${x(index)}" cy="${
      y(value)
    }" r="${isLast ? 3 : 2.4}"/>`;
  });
  return markup`<svg class="spark" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img"
 aria-label="${text}"><title>${text}</title><path d="${path}"/>${dots}</svg>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
