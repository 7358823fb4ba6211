// SPDX-License-Identifier: MIT

import { formatBytes, formatCount, formatDuration } from "../../run/quantity.ts";
import type { ReportJob, ReportScenario, ResultTree } from "../result_tree.ts";
import { type Markup, markup, table } from "./markup.ts";

/** Scenarios of all jobs that are shown first. */
const MAX_SLOWEST = 15;

/** How scenarios end, in words and in colours. */
export const WORDS: Readonly<
  Record<ReportScenario["status"], { readonly text: string; readonly style: string }>
> = {
  pass: { text: "ok", style: "pass" },
  fail: { text: "FAIL", style: "fail" },
  lost: { text: "LOST", style: "fail" },
  skip: { text: "skip", style: "none" },
};

/** How a scenario ended, as a badge. */
export function statusBadge(status: ReportScenario["status"]): Markup {
  const { text, style } = WORDS[status];
  return markup`<span class="badge ${style}">${text}</span>`;
}

/** Names the list of a job's scenarios within the page. */
export function listId(tree: ResultTree, job: ReportJob): string {
  return `scenarios-${tree.jobs.indexOf(job) + 1}`;
}

/**
 * All scenarios, to be opened job by job, the slowest first; undefined when there are none.
 *
 * @param maxLength after so many characters the rest is counted, so that the page stays light
 */
export function scenarioLists(tree: ResultTree, maxLength: number): Markup | undefined {
  const all = tree.jobs.flatMap((job) => job.scenarios.map((scenario) => ({ job, scenario })))
    .toSorted((a, b) => b.scenario.milliseconds - a.scenario.milliseconds);
  if (all.length === 0) return undefined;
  const slowest = all.slice(0, MAX_SLOWEST).map(({ job, scenario }) => row(scenario, job.name));
  let length = 0;
  const lists = Map.groupBy(all, ({ job }) => job).entries().map(([job, entries]) => {
    const rows: Markup[] = [];
    for (const { scenario } of entries) {
      const next = row(scenario);
      length += next.toString().length;
      if (length > maxLength) break;
      rows.push(next);
    }
    const more = entries.length - rows.length;
    const seconds = entries.reduce((sum, { scenario }) => sum + scenario.milliseconds, 0) / 1000;
    // A browser opens what it is sent into.
    return markup`<details><summary>${job.name}: ${entries.length} scenarios, ${
      formatDuration(seconds)
    }</summary><div id="${listId(tree, job)}">${list(rows)}${
      more > 0 ? markup`<p class="soft">${more} more are in the result files</p>` : undefined
    }</div></details>`;
  });
  return markup`<h3>The slowest</h3>${list(slowest, "job")}<h3>By job, the slowest first</h3>${[...lists]}`;
}

function list(rows: readonly Markup[], ...columns: string[]): Markup {
  const names = ["scenario", ...columns, "", "took", "images", "command"];
  return table({ columns: names, rows, style: "stack wide list" });
}

function row(scenario: ReportScenario, job?: string): Markup {
  const { title, status, milliseconds, reason, stops, reproduce } = scenario;
  const images = stops.map(({ label, bytes, pages, counts: { predicted, observed, volatile } }) =>
    markup`<div>${label}: ${formatBytes(bytes)}, ${formatCount(pages)} ${
      pages === 1 ? "page" : "pages"
    } <small class="soft">${formatCount(predicted)} bytes predicted, ${formatCount(observed)} observed, ${
      formatCount(volatile)
    } volatile</small></div>`
  );
  return markup`<tr><td><code>${title}</code></td>${
    job === undefined ? undefined : markup`<td>${job}</td>`
  }<td>${statusBadge(status)}</td><td class="number">${
    formatDuration(milliseconds / 1000)
  }</td><td>${images}${
    reason === undefined ? undefined : markup`<div>${reason.split("\n")[0]}</div>`
  }</td><td><code>${reproduce}</code></td></tr>`;
}
