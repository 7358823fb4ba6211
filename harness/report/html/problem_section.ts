// SPDX-License-Identifier: MIT

import type { Finding } from "../../../lib/image/finding.ts";
import { type RuleRow, RULES } from "../../../lib/image/rule_ids.ts";
import { shortTime } from "../../nightly/history/compare_history.ts";
import { formatBytes, someNames } from "../../run/quantity.ts";
import { scenarioFindings, type SplatRecord } from "../../run/run_result.ts";
import { type Problem, type ProblemPlace, realityText } from "../problems.ts";
import {
  type KeptFiles,
  type ReportJob,
  type ReportScenario,
  reproducedText,
  type ResultTree,
} from "../result_tree.ts";
import { markDifferences } from "./image_picture.ts";
import type { ChangeKind } from "../../nightly/nightly_result.ts";
import { type FileLink, type Markup, markup, omitted, table } from "./markup.ts";

const MAX_FINDINGS = 40;
const MAX_LINES = 160;
const MAX_LINE_LENGTH = 2000;
const MAX_NAMES = 8;
const MAX_OTHERS = 60;
const MAX_LINES_IN_CELL = 20;
const MAX_LINES_IN_CARD = 4;

/** Colours by what became of something. */
const STATE_STYLES: Readonly<Record<Problem["state"] | ChangeKind, string>> = {
  ...{ "new failure": "fail", "conflict": "fail", "failing": "fail", "still failing": "fail" },
  ...{ "flaky": "flaky", "missing": "warn", "slower": "warn", "fixed": "pass" },
};

/** What became of something, as a badge. */
export function stateBadge(state: Problem["state"] | ChangeKind): Markup {
  return markup`<span class="badge ${STATE_STYLES[state]}">${state}</span>`;
}

/** A problem in brief: what, since when, where, whether it is real, and the command. */
export function problemCard(problem: Problem, tree: ResultTree): Markup {
  const { id, state, title, headline, since, lastGood, changed, reproduce } = problem;
  const passes = passingPlaces(problem, tree);
  const rows: [string, Markup | string | undefined | false][] = [
    ["since", tree.kind === "run" ? undefined : sinceText(since?.started, lastGood?.started, tree)],
    [
      "changed",
      changed.length > 0 &&
      markup`${
        changed.map(({ name, commits, files }) =>
          markup`<div>${name}${linesOf(commits, MAX_LINES_IN_CARD)}${linesOf(files, MAX_LINES_IN_CARD)}</div>`
        )
      }`,
    ],
    ["scenarios", problem.scenarios.length > 1 ? someNames(problem.scenarios, MAX_NAMES) : undefined],
    ["on", placeList(problem.places.map(({ job }) => job), tree)],
    ["passes on", passes.length > 0 && placeList(passes, tree)],
    ["real?", realityText(problem)],
    ["command", markup`<code>${reproduce}</code>`],
  ];
  const facts = rows.map(([name, value]) => value && markup`<dt>${name}</dt><dd>${value}</dd>`);
  return markup`<article class="card bad"><div class="problem-head">${
    stateBadge(state)
  }<h3><a href="#${id}">${title}</a></h3></div><p>${headline}</p><dl class="facts">${facts}</dl></article>`;
}

function sinceText(since: string | undefined, lastGood: string | undefined, { run }: ResultTree): string {
  const good = lastGood === undefined ? "no good run is known" : `last good ${shortTime(lastGood)}`;
  if (since === undefined) return good;
  return `${since === run.started ? "this run" : shortTime(since)}, ${good}`;
}

/** Jobs of the same suite on which the scenario passed: they say where to look as well. */
function passingPlaces({ places, scenarios }: Problem, { jobs }: ResultTree): ReportJob[] {
  const [{ scenario }] = places;
  if (!scenario || scenarios.length > 1) return [];
  const broken = new Set(places.map(({ job }) => job));
  return jobs.filter((job) =>
    !broken.has(job) &&
    job.scenarios.some((other) => other.scenario === scenario.scenario && other.status === "pass")
  );
}

function placeList(jobs: readonly ReportJob[], { kind }: ResultTree): string {
  const names = jobs.map(({ kernel, platform, flavour, suite }) => {
    if (kernel === "-") return suite;
    const place = [kernel, platform, ...(flavour === "plain" ? [] : [flavour])].join(" ");
    return kind === "run" || suite === "catalogue" ? place : `${place} (${suite})`;
  });
  return [...new Set(names)].join(", ");
}

/** All that is known of a problem. */
export function problemSection(problem: Problem, link: FileLink): Markup {
  const { id, state, title, places: [first, ...rest], changed } = problem;
  const others = rest.slice(0, MAX_OTHERS).map(({ job, scenario }) =>
    markup`<li>${job.name}${problem.scenarios.length > 1 ? ` ${scenario?.title}` : ""}: ${
      scenario ? reproducedText(scenario) : job.reason
    }<br><code>${scenario?.reproduce ?? job.reproduce}</code></li>`
  );
  const changes = changed.map((entry) =>
    markup`<tr><td>${entry.name}</td><td><code>${entry.before?.slice(0, 12) ?? "none"}</code></td><td><code>${
      entry.after?.slice(0, 12) ?? "none"
    }</code></td><td>${linesOf(entry.commits)}</td><td>${linesOf(entry.files)}</td></tr>`
  );
  return markup`<article class="card bad long" id="${id}"><div class="problem-head">${
    stateBadge(state)
  }<h3>${title}</h3>${
    title === first.job.name
      ? undefined
      : markup`<span class="soft">${first.job.name}${
        problem.scenarios.length > 1 ? `, shown by ${first.scenario?.title}` : ""
      }</span>`
  }</div>
${first.scenario ? scenarioBody(first.scenario, link) : jobBody(first, link)}
${
    changes.length > 0 && markup`<h4>What differs from the last good run</h4>
${table({ columns: ["input", "then", "at the first failure", "commits", "files"], rows: changes })}`
  }
${
    others.length > 0 &&
    markup`<h4>The same in ${rest.length} more ${
      rest.length === 1 ? "place" : "places"
    }</h4><ul>${others}</ul>${omitted(rest.length - others.length, "are not listed")}`
  }
</article>`;
}

/** Names, a line each; of many the first. */
export function linesOf(names: readonly string[] = [], shown = MAX_LINES_IN_CELL): Markup {
  const lines = names.slice(0, shown).map((name) => markup`<div><code>${name}</code></div>`);
  return markup`${lines}${omitted(names.length - shown, "")}`;
}

function jobBody({ job, change }: ProblemPlace, link: FileLink): Markup {
  const tail = job.failure?.logTail ?? [];
  return markup`<p>${job.reason ?? change?.text}</p>
${tail.length > 0 && markup`<h4>End of its log</h4>${logText(tail)}`}
${job.failure?.log !== undefined && markup`<p class="soft">All of it: ${link(job.failure.log)}</p>`}
<h4>Show it again</h4><pre>${job.reproduce}</pre>`;
}

function scenarioBody(scenario: ReportScenario, link: FileLink): Markup {
  const { kept, splats, reason } = scenario;
  const findings = scenarioFindings(scenario).filter(({ id }) => id !== "E_SPLAT" || splats.length === 0);
  return markup`${reason === undefined ? undefined : logText(reason.split("\n"))}
${findings.length > 0 && findingTable(findings)}
${splats.map(splatText)}
${kept?.pictures}
${
    kept?.kernelLog !== undefined &&
    markup`<details><summary>Kernel log</summary>${
      logText(kept.kernelLog.trimEnd().split(/\r?\n/))
    }</details>`
  }
<h4>Show it again</h4><pre>${scenario.reproduce}</pre>
<p class="soft">${reproducedText(scenario)}</p>
${kept && fileList(kept, link)}
${kept?.notes.map((note) => markup`<p class="soft">${note}</p>`)}`;
}

function fileList({ directory, files }: KeptFiles, link: FileLink): Markup {
  const links = files.map(({ name, bytes }) =>
    markup`<li>${link(`${directory}/${name}`, name)} <small class="soft">${formatBytes(bytes)}</small></li>`
  );
  return markup`<p class="soft">Files are kept in ${link(directory)}:</p><ul class="files">${links}</ul>`;
}

function findingTable(findings: readonly Finding[]): Markup {
  const rows = findings.slice(0, MAX_FINDINGS).map((finding) => {
    const { id, verdict, path, offset, expected = "", actual = "" } = finding;
    return markup`<tr><td><code>${id}</code><br><small class="soft">${verdict}</small></td><td><code>${
      // A narrow column may break it between its parts.
      path.split(/(?<=[/:])/).map((part) =>
        markup`${part}<wbr>`
      )}</code></td><td data-name="offset">${offset}</td>
<td data-name="expected"><code>${expected}</code></td><td data-name="actual"><code>${
      markDifferences(actual, expected)
    }</code></td><td>${meaning(finding)}</td></tr>`;
  });
  return markup`<h4>Findings</h4>${
    table({
      columns: ["finding", "where", "offset", "expected", "actual", "meaning"],
      rows,
      style: "findings stack wide",
    })
  }
${omitted(findings.length - rows.length, "findings are in findings.json")}`;
}

/** What the finding says, and where the format has a rule of that name what breaks it. */
function meaning({ id, message, verdict }: Finding): string {
  const rule: RuleRow | undefined = Object.hasOwn(RULES, id) ? RULES[id as keyof typeof RULES] : undefined;
  return rule === undefined || verdict === "mismatch" ? message : `${message} (${rule[0]})`;
}

function splatText({ title, frames, lines, fingerprint, allowed }: SplatRecord): Markup {
  const note = allowed !== undefined && markup` <span class="soft">(allowed: ${allowed})</span>`;
  return markup`<h4>${title}${note}</h4><ol class="frames mono">${
    frames.map((frame) => {
      const [, name = frame, source] = /^(.+?) \((.+)\)$/.exec(frame) ?? [];
      return markup`<li>${name}${source !== undefined && markup` <span class="soft">${source}</span>`}</li>`;
    })
  }</ol><p class="soft">fingerprint <code>${fingerprint}</code></p><details><summary>As it was in the log</summary>${
    logText(lines)
  }</details>`;
}

/** Lines of a log; of a long one the end, and a note. */
export function logText(lines: readonly string[]): Markup {
  const shown = lines.slice(-MAX_LINES).map((line) =>
    line.length > MAX_LINE_LENGTH ? `${line.slice(0, MAX_LINE_LENGTH)} [cut here]` : line
  );
  const cut = lines.length - shown.length;
  const note = cut > 0 ? markup`<p class="soft">the first ${cut} lines are left out</p>` : undefined;
  return markup`${note}<pre>${shown.join("\n")}</pre>`;
}
