// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { TrendPoint } from "../../nightly/nightly_result.ts";
import { recordedTree } from "../testing/sample_tree.ts";
import { nightlyPlots } from "./nightly_plots.ts";

const nightly = await recordedTree("nightly");

function point(day: number, rest: Partial<TrendPoint> = {}): TrendPoint {
  const run = { id: `n${day}`, started: `2026-11-0${day}T01:00:00.000Z` };
  return { run, status: "pass", seconds: day, ...rest };
}

/** Title by title the lines of the plots, and the moves of their paths. */
function plotsOf(trends: Record<string, TrendPoint[]>): Record<string, string[]> {
  const html = String(nightlyPlots({ ...nightly, trends }));
  return Object.fromEntries([...html.matchAll(/<figure.*?<\/figure>/gs)].map(([figure]) => {
    const [, title = ""] = /<figcaption>(.*?)</.exec(figure)!;
    const names = [...figure.matchAll(/<\/svg>([^<]*)<\/span>/g)].map(([, name]) => name!);
    const paths = [...figure.matchAll(/<g class="line-\d"><path d="(.*?)"/g)];
    return [title, names.map((name, line) => `${name} ${paths[line]![1]!.match(/[ML]/g)?.join("")}`)];
  }));
}

Deno.test("nightlyPlots() plots durations of jobs and scenarios, mutation score and bytes over nightly runs", () => {
  const bytes = { total: 4000, predicted: 1000, observed: 2990, volatile: 0, unexplained: 10 };
  const mutants = { killed: 3, survived: 1, equivalent: 9 };
  const a = [
    point(1, { bytes, scenarios: { slow: 12_000 } }),
    point(2, { status: "missing" }),
    point(3, { bytes, scenarios: { slow: 9000 } }),
  ];
  const b = [point(2, { mutants }), point(3, { mutants: { ...mutants, killed: 7 } })];
  assertEquals(plotsOf({ a, b }), {
    "Duration of jobs, the longest": ["a: 3.0 s MM", "b: 3.0 s ML"],
    "Duration of scenarios, the longest": ["slow (a): 9.0 s MM"],
    "Mutation score": ["b: 87.5 % ML"],
    "Bytes that are explained": ["a: 99.7 % MM"],
    "Bytes that were judged": ["a: 4,000 MM"],
  });
});

Deno.test("nightlyPlots() shows the six highest of many lines, and nothing of one nightly run", () => {
  const jobs = Array.from({ length: 9 }, (_, index) => {
    return [`job${index}`, [1, 2].map((day) => point(day, { seconds: index * 60 }))] as const;
  });
  const lines = plotsOf(Object.fromEntries(jobs))["Duration of jobs, the longest"]!;
  assertEquals([lines.length, lines[0]], [6, "job8: 8 min ML"]);
  assertEquals(nightlyPlots({ ...nightly, trends: { a: [point(1)] } }), undefined);
});

Deno.test("nightlyPlots() escapes names, and draws whatever the values are", () => {
  const points = [0, 1e300, -5, Number.MIN_VALUE].map((seconds, index) => point(index + 1, { seconds }));
  const html = String(nightlyPlots({ ...nightly, trends: { "<script>": points } }));
  assert(!html.includes("<script>") && html.includes("&lt;script&gt;") && !html.includes("NaN"));
  assertMatch(html, /role="img" aria-label="Duration of jobs, the longest"/);
});
