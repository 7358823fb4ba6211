// SPDX-License-Identifier: MIT

import { formatCount, formatDuration, medianOf } from "../../run/quantity.ts";
import { shortTime } from "../../nightly/history/compare_history.ts";
import type { TrendPoint } from "../../nightly/nightly_result.ts";
import { mutationScore } from "../../run/run_result.ts";
import type { ResultTree } from "../result_tree.ts";
import { type Markup, markup, table } from "./markup.ts";

const MAX_RUNS = 40;
const MAX_JOBS = 200;

/** How long jobs took and how many bytes they explained, run after run; undefined without a history. */
export function trendTable({ trends, jobs }: ResultTree): Markup | undefined {
  const rows = jobs.slice(0, MAX_JOBS).flatMap(({ name }) => {
    const points = Object.hasOwn(trends, name) ? trends[name] : undefined;
    return points && points.length > 0 ? [trendRow(name, points.slice(-MAX_RUNS))] : [];
  });
  if (rows.length === 0) return undefined;
  return markup`${
    table({ columns: ["job", "outcomes", "duration", "", "bytes explained", ""], rows, style: "wide" })
  }
<p class="legend">Oldest run on the left. Red: the job failed, or bytes were unexplained.</p>`;
}

function trendRow(name: string, points: readonly TrendPoint[]): Markup {
  const times = points.flatMap(({ status, seconds }) => status === "missing" ? [] : [seconds]);
  const latest = points.at(-1);
  const median = medianOf(times);
  const took = latest?.status === "missing" || latest === undefined
    ? "did not run"
    : formatDuration(latest.seconds);
  const durations = points.map(({ status, seconds }) => ({
    value: status === "missing" ? undefined : seconds,
    isBad: status === "fail",
  }));
  const words = `${took}${median === undefined ? "" : `, median ${formatDuration(median)}`}`;
  const accounts = points.flatMap(({ bytes }) => bytes ?? []);
  const last = accounts.at(-1);
  const explained = points.map(({ bytes }) => ({
    value: bytes && bytes.total - bytes.unexplained,
    isBad: (bytes?.unexplained ?? 0) > 0,
  }));
  const now = latest?.bytes;
  const bytes = latest?.mutants
    ? `mutation score ${mutationScore(latest.mutants)}`
    : now
    ? `${formatCount(now.total)}, ${formatCount(now.unexplained)} unexplained`
    : last && "none this time";
  return markup`<tr><td>${name}</td><td>${outcomes(points)}</td><td>${
    sparkline(durations, `durations of ${points.length} runs: ${words}`)
  }</td><td><small>${words}</small></td><td>${
    last && sparkline(explained, `explained bytes of ${accounts.length} runs: ${bytes}`)
  }</td><td><small>${bytes}</small></td></tr>`;
}

/** A block for each run: full for a pass, a cross-bar of red for a failure, a low line when it did not run. */
function outcomes(points: readonly TrendPoint[]): Markup {
  const step = 7;
  const failed = points.filter(({ status }) => status === "fail").length;
  const missing = points.filter(({ status }) => status === "missing").length;
  const text = `${points.length} runs: ${failed} failed, ${missing} did not run`;
  const blocks = points.map(({ status, run }, index) => {
    const height = { pass: 7, fail: 16, missing: 2 }[status];
    const kind = { pass: "saved", fail: "differs", missing: "part" }[status];
    return markup`<rect class="c-${kind}" x="${index * step}" y="${
      20 - height
    }" width="5" height="${height}"><title>${shortTime(run.started)}: ${status}</title></rect>`;
  });
  const width = Math.max(1, points.length) * step;
  return markup`<svg width="${width}" height="22" viewBox="0 0 ${width} 22" role="img"
 aria-label="${text}">${blocks}</svg>`;
}

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
