// SPDX-License-Identifier: MIT

import { shortTime } from "../../nightly/history/compare_history.ts";
import type { TrendPoint } from "../../nightly/nightly_result.ts";
import { formatCount, formatDuration } from "../../run/quantity.ts";
import type { ResultTree } from "../result_tree.ts";
import { type Markup, markup } from "./markup.ts";
import { linePlot, MAX_PLOT_LINES, type PlotLine } from "./plot.ts";

/** One kind of value of a job, or of a scenario in it, run by run. */
type Valuer = (point: TrendPoint) => number | undefined;

/** Plots over the nightly runs; undefined while there is no more than one run. */
export function nightlyPlots({ trends }: ResultTree): Markup | undefined {
  const all = Object.values(trends).flat();
  const runs = [...new Map(all.map(({ run }) => [run.id, run.started])).entries()]
    .toSorted(([, a], [, b]) => a < b ? -1 : 1);
  if (runs.length < 2) return undefined;
  const labels = runs.map(([, started]) => shortTime(started));
  const lineOf = (name: string, points: readonly TrendPoint[], valueOf: Valuer): PlotLine => {
    const byRun = new Map(points.map((point) => [point.run.id, point]));
    const valueIn = (point: TrendPoint | undefined) =>
      point && point.status !== "missing" ? valueOf(point) : undefined;
    return { name, values: runs.map(([id]) => valueIn(byRun.get(id))) };
  };
  const ofJobs = (valueOf: Valuer): PlotLine[] =>
    Object.entries(trends).map(([name, points]) => lineOf(name, points, valueOf));
  const ofScenarios = Object.entries(trends).flatMap(([job, points]) => {
    const names = new Set(points.flatMap(({ scenarios = {} }) => Object.keys(scenarios)));
    return [...names].map((name) =>
      lineOf(
        `${name} (${job})`,
        points,
        ({ scenarios }) => scenarios && Object.hasOwn(scenarios, name) ? scenarios[name]! / 1000 : undefined,
      )
    );
  });
  const score: Valuer = ({ mutants }) => {
    const judged = mutants ? mutants.killed + mutants.survived : 0;
    return mutants && judged > 0 ? mutants.killed / judged * 100 : undefined;
  };
  const explained: Valuer = ({ bytes }) =>
    bytes && bytes.total > 0 ? (bytes.total - bytes.unexplained) / bytes.total * 100 : undefined;
  const percent = (value: number): string => `${Math.floor(value * 10) / 10} %`;
  const seconds = (value: number): string => value < 10 ? `${value.toFixed(1)} s` : formatDuration(value);
  const count = (value: number): string => formatCount(Math.round(value));
  const plots = [
    {
      title: "Duration of jobs, the longest",
      lines: largest(ofJobs(({ seconds }) => seconds)),
      show: seconds,
    },
    { title: "Duration of scenarios, the longest", lines: largest(ofScenarios), show: seconds },
    { title: "Mutation score", lines: largest(ofJobs(score)), show: percent },
    { title: "Bytes that are explained", lines: largest(ofJobs(explained), -1), show: percent },
    { title: "Bytes that were judged", lines: largest(ofJobs(({ bytes }) => bytes?.total)), show: count },
  ];
  return markup`<div class="plots">${
    plots.map((plot) => plot.lines.length > 0 && linePlot({ ...plot, labels }))
  }</div>`;
}

/** Those with the highest values; with `sign` -1 the lowest, where something is wrong. */
function largest(lines: readonly PlotLine[], sign: 1 | -1 = 1): PlotLine[] {
  return lines.filter(({ values }) => values.some((value) => value !== undefined))
    .toSorted((a, b) => sign * (last(b) - last(a))).slice(0, MAX_PLOT_LINES);
}

function last({ values }: PlotLine): number {
  return values.findLast((value) => value !== undefined) ?? 0;
}
