// SPDX-License-Identifier: MIT

import { changedText, shortTime } from "../nightly/history/compare_history.ts";
import { formatCount, formatDuration, someNames } from "../run/quantity.ts";
import { listProblems, type Problem, realityText } from "./problems.ts";
import { mutationScore } from "../run/run_result.ts";
import type { ResultTree } from "./result_tree.ts";

const MAX_PROBLEMS = 20;
const MAX_PLACES = 4;

/** Results in the few lines that a person reads in a terminal: the verdict, what broke, and the commands. */
export function textReport(tree: ResultTree): string {
  const { run, bytes } = tree;
  const problems = listProblems(tree);
  const lines = [
    `${tree.kind === "nightly" ? "nightly run" : "run"} ${run.id}, ${
      formatDuration(run.milliseconds / 1000)
    }: ${verdictText(tree)}`,
    ...(run.complete ? [] : [`stopped before its end: ${run.stopped ?? "no reason was recorded"}`]),
    `scenarios: ${scenarioText(tree)}`,
    `bytes: ${formatCount(bytes.total)}, ${formatCount(bytes.unexplained)} of them unexplained`,
    ...tree.mutants ? [`mutation score: ${mutationScore(tree.mutants)}`] : [],
    ...problems.slice(0, MAX_PROBLEMS).flatMap((problem) => ["", ...problemLines(problem)]),
  ];
  if (problems.length > MAX_PROBLEMS) lines.push("", `and ${problems.length - MAX_PROBLEMS} more`);
  const count = (kind: string): number => tree.changes.filter((change) => change.kind === kind).length;
  const fixed = count("fixed");
  const slower = count("slower");
  if (fixed > 0 || slower > 0) lines.push("", `fixed: ${fixed}, slower: ${slower}`);
  // Names and messages may come from a guest: they must not steer the terminal.
  // deno-lint-ignore no-control-regex
  return `${lines.map((line) => line.replace(/[\0-\x1f\x7f-\x9f]/g, "?")).join("\n")}\n`;
}

/** How the jobs ended, in a line. */
export function verdictText({ counts, jobs, kind }: ResultTree): string {
  const { passed, failed, missing } = counts;
  const name = (kind === "nightly" ? "job" : "platform") + (jobs.length === 1 ? "" : "s");
  if (jobs.length === 0) return "nothing ran";
  if (failed === 0 && missing === 0) return `${jobs.length === 1 ? "" : "all "}${passed} ${name} passed`;
  return [
    `${passed} of ${jobs.length} ${name} passed`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(missing > 0 ? [`${missing} did not run`] : []),
  ].join(", ");
}

/** How the scenarios ended, in a line. */
export function scenarioText({ scenarios: { passed, failed, lost, skipped } }: ResultTree): string {
  return [
    `${formatCount(passed)} passed`,
    `${formatCount(failed)} failed`,
    ...(lost > 0 ? [`${formatCount(lost)} lost`] : []),
    ...(skipped > 0 ? [`${formatCount(skipped)} skipped`] : []),
  ].join(", ");
}

function problemLines(problem: Problem): string[] {
  const { state, title, headline, scenarios, places, since, reproduce } = problem;
  const shown = scenarios.length > 1 ? [`  ${someNames(scenarios, MAX_PLACES)}`] : [];
  const names = [...new Set(places.map(({ job }) => job.name))];
  return [
    `${state.toUpperCase()}  ${title}: ${headline}`,
    ...shown,
    `  on ${someNames(names, MAX_PLACES)}`,
    ...(since ? [`  since ${shortTime(since.started)} (${since.id})`] : []),
    ...problem.changed.filter(({ files }) => files).map((entry) => `  changed ${changedText(entry)}`),
    `  real? ${realityText(problem)}`,
    `  ${reproduce}`,
  ];
}
