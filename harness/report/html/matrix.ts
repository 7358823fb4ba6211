// SPDX-License-Identifier: MIT

import { formatBytes, formatCount, formatDuration } from "../../run/quantity.ts";
import type { JobFailureKind } from "../../nightly/nightly_result.ts";
import type { Problem } from "../problems.ts";
import type { ReportJob, ReportScenario, ResultTree } from "../result_tree.ts";
import { type Markup, markup, omitted, table } from "./markup.ts";

const MAX_ROWS = 300;

/** Jobs by kernel, platform and flavour (rows) and suite (columns). */
export function matrix(tree: ResultTree, problems: readonly Problem[]): Markup {
  const { jobs } = tree;
  const suites = [...new Set(jobs.map(({ suite }) => suite))];
  const rows = Map.groupBy(jobs, (job) => JSON.stringify([job.kernel, job.platform, job.flavour]));
  const linkOf = (job: ReportJob): string | undefined =>
    problems.find(({ places }) => places.some((place) => place.job === job))?.id ??
      (job.scenarios.length > 0 ? listId(tree, job) : undefined);
  // The rows of a kernel stand together, wherever the plan has them.
  const kernelsInOrder = [...new Set(jobs.map(({ kernel }) => kernel))];
  const byKernel = (row: ReportJob[]): number => kernelsInOrder.indexOf(row[0]?.kernel ?? "");
  const body = [...rows.values()].toSorted((a, b) => byKernel(a) - byKernel(b)).map((row) => {
    const [{ kernel, platform, flavour, kernels } = row[0]!] = row.filter((job) => job.kernels.length > 0);
    const name = kernels[0]?.name;
    // A suite that needs no kernel has none of the three.
    const title = kernel === "-"
      ? markup`<span class="soft">no kernel</span>`
      : markup`${kernel} ${platform} <span class="soft">${flavour}</span>`;
    return markup`<tr><th scope="row">${title}${
      name === undefined || name === kernel ? undefined : markup`<br><small class="soft">${name}</small>`
    }</th>${
      suites.map((suite) =>
        markup`<td>${row.filter((job) => job.suite === suite).map((job) => cell(job, linkOf(job)))}</td>`
      )
    }</tr>`;
  });
  return table({ columns: ["kernel", ...suites], rows: body, style: "matrix" });
}

function cell(job: ReportJob, link: string | undefined): Markup {
  const style = { pass: "pass", fail: "fail", missing: "warn" }[job.status];
  const inner = markup`<b>${cellWord(job)}</b><small>${cellDetail(job)}</small>`;
  return link === undefined
    ? markup`<span class="cell ${style}">${inner}</span>`
    : markup`<a class="cell ${style}" href="#${link}">${inner}</a>`;
}

const WHOLE_WORDS: Readonly<Record<JobFailureKind, string>> = {
  ...{ "test": "failed", "plan": "not planned", "build": "not built", "guest lost": "guest lost" },
  ...{
    "deadline": "took too long",
    "nothing ran": "nothing ran",
    "usage": "not started",
    "crash": "crashed",
  },
  "merge conflict": "conflict",
};

function cellWord(job: ReportJob): string {
  if (job.status === "missing") return "did not run";
  if (job.status === "pass") return "passed";
  const failed = count(job, "fail");
  const lost = count(job, "lost");
  if (failed + lost === 0) return WHOLE_WORDS[job.failure?.kind ?? "test"];
  return [...(failed > 0 ? [`${failed} failed`] : []), ...(lost > 0 ? [`${lost} lost`] : [])].join(", ");
}

function cellDetail(job: ReportJob): string {
  if (job.status === "missing") return "";
  const [passed, skipped, all] = [count(job, "pass"), count(job, "skip"), job.scenarios.length];
  const time = job.reused ? "reused" : formatDuration(job.seconds);
  return [all > 0 && `${passed} of ${all - skipped}`, skipped > 0 && `${skipped} skipped`, time]
    .filter((text) => text !== false).join(", ");
}

function count({ scenarios }: ReportJob, status: string): number {
  return scenarios.filter((scenario) => scenario.status === status).length;
}

/** Scenarios that did not pass wherever they ran, by job; undefined when all did. */
export function scenarioTable({ jobs }: ResultTree): Markup | undefined {
  const columns = jobs.filter(({ scenarios }) => scenarios.length > 0);
  const statuses = columns.map((job) => new Map(job.scenarios.map((item) => [item.title, item])));
  const names = [...new Set(statuses.flatMap((column) => [...column.keys()]))].toSorted();
  const uneven = names.filter((name) =>
    statuses.some((column) => (column.get(name)?.status ?? "pass") !== "pass")
  );
  if (uneven.length === 0) return undefined;
  const rows = uneven.slice(0, MAX_ROWS).map((name) =>
    markup`<tr><td><code>${name}</code></td>${
      statuses.map((column) => {
        const scenario = column.get(name);
        if (!scenario) return markup`<td class="soft">-</td>`;
        const { status, reason = WORDS[status].text } = scenario;
        return markup`<td title="${reason}">${statusBadge(status)}</td>`;
      })
    }<td class="soft">${skipReasons(statuses.map((column) => column.get(name)))}</td></tr>`
  );
  const more = uneven.length - rows.length;
  const heads = columns.map(({ name }) => markup`<span class="head">${name}</span>`);
  return markup`${table({ columns: ["scenario", ...heads, "why skipped"], rows, style: "dots" })}
<p class="soft">${names.length - uneven.length} more scenarios passed wherever they ran.${
    more > 0 ? ` ${more} that did not are left out.` : ""
  }</p>`;
}

/** Why a scenario was skipped, each reason once: a title is not seen on paper. */
function skipReasons(outcomes: readonly (ReportScenario | undefined)[]): string {
  const reasons = outcomes.flatMap((outcome) => outcome?.status === "skip" ? outcome.reason ?? [] : []);
  return [...new Set(reasons)].join("; ");
}

/** Scenarios of all jobs that are shown first. */
const MAX_SLOWEST = 15;

/** How scenarios end, in words and in colours. */
const WORDS: Readonly<
  Record<ReportScenario["status"], { readonly text: string; readonly style: string }>
> = {
  pass: { text: "ok", style: "pass" },
  fail: { text: "FAIL", style: "fail" },
  lost: { text: "LOST", style: "fail" },
  skip: { text: "skip", style: "none" },
};

function statusBadge(status: ReportScenario["status"]): Markup {
  const { text, style } = WORDS[status];
  return markup`<span class="badge ${style}">${text}</span>`;
}

/** Names the list of a job's scenarios within the page. */
function listId(tree: ResultTree, job: ReportJob): string {
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
    const seconds = entries.reduce((sum, { scenario }) => sum + scenario.milliseconds, 0) / 1000;
    // A browser opens what it is sent into.
    return markup`<details><summary>${job.name}: ${entries.length} scenarios, ${
      formatDuration(seconds)
    }</summary><div id="${listId(tree, job)}">${list(rows)}${
      omitted(entries.length - rows.length, "are in the result files")
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
  return markup`<tr><td><code>${title}</code></td>${job !== undefined && markup`<td>${job}</td>`}<td>${
    statusBadge(status)
  }</td><td class="number">${formatDuration(milliseconds / 1000)}</td><td>${images}${
    reason !== undefined && markup`<div>${reason.split("\n")[0]}</div>`
  }</td><td><code>${reproduce}</code></td></tr>`;
}
