// SPDX-License-Identifier: MIT

import { mutationScore } from "../run/run_result.ts";
import { formatCount, formatDuration, someNames } from "../run/quantity.ts";
import type { ChangedDigest, RunReference } from "../nightly/nightly_result.ts";
import { groupChanges, shortTime } from "../nightly/history/compare_history.ts";
import {
  type FileLink,
  fileLinks,
  htmlPage,
  legend,
  type Markup,
  markup,
  omitted,
  table,
} from "./html/markup.ts";
import { matrix, scenarioLists, scenarioTable } from "./html/matrix.ts";
import { nightlyPlots } from "./html/nightly_plots.ts";
import { linesOf, problemCard, problemSection, stateBadge } from "./html/problem_section.ts";
import { trendTable } from "./html/trend_table.ts";
import { listProblems, type Problem } from "./problems.ts";
import { readResultTree, type ResultTree } from "./result_tree.ts";
import { scenarioText, verdictText } from "./text_report.ts";
import { join } from "@std/path";
import type { Terminal } from "./terminal.ts";
import { writeWhole } from "../../vm/host/write_whole.ts";
import { PAGE } from "../nightly/run/run_directory.ts";

/** From here on problems are told in brief alone, so that the page stays light. */
const MAX_DETAIL_LENGTH = 800_000;
/** The lists of scenarios get what the failures in full leave of that, but so much at least. */
const MIN_LIST_LENGTH = 80_000;
const MAX_CARDS = 60;
const MAX_CHANGES = 300;
const NAMES_SHOWN = 12;
/** Commits, and files, that a row names. */
const NAMES_IN_CELL = 3;

/**
 * Results as one HTML page that needs nothing else: no script, no network, no other file.
 *
 * @param base the directory of the results, from that of the page: for links to files that were kept
 */
export function htmlReport(tree: ResultTree, base = "."): string {
  const problems = listProblems(tree);
  const scenarios = scenarioTable(tree);
  const trends = trendTable(tree);
  const plots = nightlyPlots(tree);
  const details = problems.length === 0 ? undefined : detailSection(problems, fileLinks(base));
  const lists = scenarioLists(
    tree,
    Math.max(MAX_DETAIL_LENGTH - String(details ?? "").length, MIN_LIST_LENGTH),
  );
  const sections: [id: string, title: string, body: Markup | undefined][] = [
    ["broken", problems.length > 0 ? "What broke" : "Nothing broke", brokenSection(problems, tree)],
    ["matrix", "Matrix", matrix(tree, problems)],
    ["changes", "What changed since the last good run", changesTable(tree)],
    ["failures", "Failures in full", details],
    ["scenarios", "Scenarios that did not pass everywhere", scenarios],
    ["all", "All scenarios", lists],
    ["trends", "Trends", trends && markup`${plots}${trends}`],
    ["bytes", "Byte coverage", bytesSection(tree)],
    ["time", "Where the time went", timeSection(tree)],
  ];
  const present = sections.filter(([, , body]) => body !== undefined);
  const title = `${headline(problems, tree)} - ckptest, ${shortTime(tree.run.started)}`;
  const body = markup`${header(problems, tree)}
<nav>${present.map(([id, name]) => markup`<a href="#${id}">${name}</a>`)}</nav>
<main>
${present.map(([id, name, body]) => markup`<section id="${id}"><h2>${name}</h2>${body}</section>\n`)}
</main>
${footer(tree)}`;
  return htmlPage({ title, body });
}

function headline(problems: readonly Problem[], tree: ResultTree): string {
  const states = [...new Set(problems.map(({ state }) => state))];
  const words = states.map((state) => {
    const count = problems.filter((problem) => problem.state === state).length;
    const jobs = problems.filter((problem) => problem.state === state).flatMap(({ places }) => places).length;
    const plural = count === 1 ? "" : "s";
    return {
      ...{ "new failure": `${count} new failure${plural}`, "failing": `${count} failure${plural}` },
      ...{ "missing": `${jobs} did not run`, "conflict": `${count} conflict${plural} in the merge` },
      ...{ "still failing": `${count} still failing`, "flaky": `${count} flaky` },
    }[state];
  });
  const text = problems.length === 0 ? verdictText(tree) : words.join(", ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function header(problems: readonly Problem[], tree: ResultTree): Markup {
  const { run, bytes, kind, mutants } = tree;
  const place = run.shard ? `, shard ${run.shard.index} of ${run.shard.of}` : "";
  const merged = run.merged ? `, merged from ${run.merged.length} directories` : "";
  const kernels = [...new Set(tree.jobs.flatMap((job) => job.kernels.map(({ name }) => name)))];
  return markup`<header>
<p class="kicker">ckptest, ${kind === "nightly" ? `nightly run ${run.id}` : "run"} of ${
    shortTime(run.started)
  } UTC, took ${formatDuration(run.milliseconds / 1000)}${place}${merged}</p>
<h1>${headline(problems, tree)}</h1>
${
    run.complete
      ? undefined
      : markup`<p class="notice">Stopped before its end: ${run.stopped ?? "no reason was recorded"}</p>`
  }
<ul class="tiles">${problems.length > 0 && markup`<li><b>${verdictText(tree)}</b></li>`}<li>Scenarios: <b>${
    scenarioText(tree)
  }</b></li><li>Bytes: <b>${formatCount(bytes.total)}</b> judged, <b>${
    formatCount(bytes.unexplained)
  }</b> unexplained</li>${mutants && markup`<li>Mutation score: <b>${mutationScore(mutants)}</b></li>`}${
    kernels.length > 0 && markup`<li>Kernels: <b>${kernels.join(", ")}</b></li>`
  }</ul>
</header>`;
}

function brokenSection(problems: readonly Problem[], tree: ResultTree): Markup {
  if (problems.length === 0) {
    const what = tree.kind === "run" ? "Everything" : "Every job of the plan";
    return markup`<p class="card">${what} ran and passed: ${scenarioText(tree)}.</p>`;
  }
  const cards = problems.slice(0, MAX_CARDS).map((problem) => problemCard(problem, tree));
  return markup`<div class="cards">${cards}</div>${
    omitted(problems.length - cards.length, "are left out: see the matrix")
  }`;
}

function detailSection(problems: readonly Problem[], link: FileLink): Markup {
  const sections: Markup[] = [];
  let length = 0;
  for (const problem of problems) {
    const section = problemSection(problem, link);
    length += section.toString().length;
    if (length > MAX_DETAIL_LENGTH) break;
    sections.push(section);
  }
  const rest = problems.slice(sections.length);
  const brief = rest.map(({ id, title, headline }) => markup`<li id="${id}">${title}: ${headline}</li>`);
  return markup`${sections}${
    rest.length > 0 &&
    markup`<article class="card"><p>The page is full: ${rest.length} more failures are in the result files.</p>
<ul>${brief}</ul></article>`
  }`;
}

function changesTable({ kind, changes, trends }: ResultTree): Markup | undefined {
  if (kind === "run") return undefined;
  if (changes.length === 0 && Object.values(trends).every(({ length }) => length < 2)) {
    return markup`<p>There is no earlier run to compare with.</p>`;
  }
  if (changes.length === 0) return markup`<p>Nothing is different from the last good run.</p>`;
  const groups = groupChanges(changes);
  const rows = groups.slice(0, MAX_CHANGES).map(({ change, scenarios }) =>
    markup`<tr><td>${stateBadge(change.kind)}</td><td>${change.job}${
      scenarios.length > 0 && markup`<br><code>${someNames(scenarios, NAMES_SHOWN)}</code>`
    }</td><td>${change.text}</td><td data-name="since">${
      timeCell(change.since)
    }</td><td data-name="last good">${timeCell(change.lastGood)}</td><td data-name="differs:">${
      change.changed.map(changedEntry)
    }</td></tr>`
  );
  const columns = ["", "job, scenario", "what", "since", "last good", "inputs that differ"];
  return markup`${table({ columns, rows, style: "stack wide" })}${
    omitted(groups.length - rows.length, "are in nightly.json")
  }`;
}

function timeCell(run: RunReference | undefined): Markup | undefined {
  return run && markup`<time datetime="${run.started}" title="${run.id}">${shortTime(run.started)}</time>`;
}

function changedEntry({ name, before, after, commits, files }: ChangedDigest): Markup {
  return markup`<div><span class="keep">${name} <small class="soft mono">${
    before?.slice(0, 8) ?? "none"
  } to ${after?.slice(0, 8) ?? "none"}</small></span>${linesOf(commits, NAMES_IN_CELL)}${
    linesOf(files, NAMES_IN_CELL)
  }</div>`;
}

function bytesSection({ bytes, volatile }: ResultTree): Markup | undefined {
  if (bytes.total === 0) return undefined;
  const parts = [
    ["predicted", "saved", bytes.predicted, "the model or the format computes them"],
    ["observed", "part", bytes.observed, "another kernel interface shows them"],
    ["volatile", "none", bytes.volatile, "declared by name, and checked as far as can be"],
    ["unexplained", "differs", bytes.unexplained, "explained by nothing: one of them fails"],
  ] as const;
  let at = 0;
  const bar = parts.map(([, kind, count]) => {
    const width = count / bytes.total * 1000;
    const part = markup`<rect class="c-${kind}" x="${at.toFixed(2)}" width="${
      width.toFixed(2)
    }" height="1"/>`;
    at += width;
    return part;
  });
  const rows = parts.map(([name, kind, count, why]) =>
    markup`<tr><td class="legend">${legend(kind, name)}</td><td class="number">${
      formatCount(count)
    }</td><td class="soft">${why}</td></tr>`
  );
  const named = Object.entries(volatile).map(([name, entry]) =>
    markup`<tr><td class="soft">${name}</td><td class="number soft">${
      formatCount(entry.bytes)
    }</td><td class="soft">${entry.reason}</td></tr>`
  );
  return markup`<svg class="bar" viewBox="0 0 1000 1" preserveAspectRatio="none" role="img"
 aria-label="shares of the bytes">${bar}</svg>
${table({ columns: [], rows: [...rows, ...named] })}`;
}

function timeSection({ run: { spent, slots, kernels } }: ResultTree): Markup | undefined {
  const entries = Object.entries(spent).toSorted(([, a], [, b]) => b - a);
  const most = Math.max(...entries.map(([, seconds]) => seconds));
  if (entries.length === 0 || !(most > 0)) return undefined;
  const rows = entries.map(([name, seconds]) =>
    markup`<tr><td>${name}</td><td class="number">${
      formatDuration(seconds)
    }</td><td><svg width="240" height="12" viewBox="0 0 240 12" aria-hidden="true"><rect class="c-saved" width="${
      (seconds / most * 240).toFixed(1)
    }" height="12"/></svg></td></tr>`
  );
  return markup`${table({ columns: [], rows })}
<p class="soft">${
    slots === undefined
      ? "Jobs run side by side: the sum may be more than the time that passed."
      : `The time of ${slots} processes side by side: the sum is ${slots} times what passed.`
  }${
    kernels &&
    ` Kernels: ${kernels.built} built, ${kernels.cached} from the cache, ${kernels.failed} not built.`
  }</p>`;
}

function footer({ run, jobs }: ResultTree): Markup {
  const inputs = run.matrix &&
    markup` Matrix <code>${run.matrix.path}</code>, digest <code>${run.matrix.digest.slice(0, 12)}</code>.`;
  return markup`<footer><p>${jobs.length} ${
    jobs.length === 1 ? "job" : "jobs"
  }.${inputs} Times are UTC. The same results in other forms:
<code>ckptest report DIR --format text|junit|ktap|jsonl|kcidb</code>.</p></footer>`;
}

/**
 * Writes the page of a run or a nightly run, `report.html`, into its directory. Whatever prevents that is a note: the
 * results are there without it.
 *
 * @returns the path of the page; undefined when it was not written
 */
export async function writePage(
  directory: string,
  terminal: Pick<Terminal, "note">,
): Promise<string | undefined> {
  const path = join(directory, PAGE);
  try {
    await writeWhole(path, htmlReport(await readResultTree(directory)));
    return path;
  } catch (error) {
    terminal.note(`there is no page, ${PAGE}: ${(error as Error).message}`);
    return undefined;
  }
}
