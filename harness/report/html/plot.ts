// SPDX-License-Identifier: MIT

import { type Markup, markup } from "./markup.ts";

/** A line of a plot: a value for each run, undefined where there is none. */
export interface PlotLine {
  readonly name: string;
  readonly values: readonly (number | undefined)[];
}

/** Lines that can be told apart: each has a colour and a pattern of its own. */
export const MAX_PLOT_LINES = 6;
const SIZE = { width: 640, height: 200, left: 84, right: 12, top: 12, bottom: 24 } as const;
const TICKS = 4;

/**
 * Values over the runs, as lines with axes. The scale begins at 0.
 *
 * @param labels of the runs, the oldest first
 * @param show a value in words
 */
export function linePlot(
  { title, labels, lines, show }: {
    title: string;
    labels: readonly string[];
    lines: readonly PlotLine[];
    show(value: number): string;
  },
): Markup {
  const { width, height, left, right, top, bottom } = SIZE;
  const shown = lines.slice(0, MAX_PLOT_LINES);
  const most = Math.max(...shown.flatMap(({ values }) => values.flatMap((value) => value ?? [])), 1e-9);
  const x = (index: number): string =>
    (left + index * (width - left - right) / Math.max(1, labels.length - 1)).toFixed(1);
  const y = (value: number): string => (height - bottom - value / most * (height - top - bottom)).toFixed(1);
  const grid = Array.from({ length: TICKS + 1 }, (_, tick) => {
    const value = most * tick / TICKS;
    return markup`<line class="grid" x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}"/>
<text x="${left - 6}" y="${y(value)}" dy=".35em" text-anchor="end">${show(value)}</text>`;
  });
  const ends = labels.length === 0
    ? []
    : [0, labels.length - 1].slice(0, labels.length).map((index) =>
      markup`<text x="${x(index)}" y="${height - 6}" text-anchor="${index === 0 ? "start" : "end"}">${
        labels[index]
      }</text>`
    );
  const paths = shown.map(({ name, values }, line) => {
    let path = "";
    const dots = values.map((value, index) => {
      if (value === undefined) return undefined;
      path += `${path !== "" && values[index - 1] !== undefined ? "L" : "M"}${x(index)} ${y(value)}`;
      return markup`<circle cx="${x(index)}" cy="${y(value)}" r="2.6"><title>${name}, ${labels[index]}: ${
        show(value)
      }</title></circle>`;
    });
    return markup`<g class="line-${line}"><path d="${path}"/>${dots}</g>`;
  });
  const legends = shown.map(({ name, values }, line) => {
    const last = values.findLast((value) => value !== undefined);
    return markup`<span><svg viewBox="0 0 24 8" class="line-${line}" aria-hidden="true">
<path d="M0 4L24 4"/></svg>${name}${last === undefined ? "" : `: ${show(last)}`}</span>`;
  });
  return markup`<figure class="plot"><figcaption>${title}</figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
${grid}${ends}${paths}</svg><p class="legend">${legends}</p></figure>`;
}
