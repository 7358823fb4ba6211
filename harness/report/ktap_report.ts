// SPDX-License-Identifier: MIT

import { jobReason } from "./problems.ts";
import {
  failedAsWhole,
  failureLines,
  type ReportJob,
  type ReportScenario,
  type ResultTree,
} from "./result_tree.ts";
import { failingSplats } from "../run/run_result.ts";

const MAX_FINDINGS = 20;
const MAX_LINES = 60;

/**
 * Words in a diagnostic line at which the kernel's own parser would think that the results are over
 * (KTAP_END of tools/testing/kunit/kunit_parser.py). A comma in place of the colon lets it go on.
 */
const END_WORDS = /List of all partitions:|Kernel panic - not syncing: VFS:|reboot: System halted/g;

/**
 * Results as KTAP, version 1 (Documentation/dev-tools/ktap.rst): a test for each job, and in it one for each
 * scenario. What went wrong stands in diagnostic lines before the result that it belongs to.
 */
export function ktapReport({ jobs }: ResultTree): string {
  const lines = ["KTAP version 1", `1..${jobs.length}`];
  for (const [index, job] of jobs.entries()) lines.push(...jobLines(job, index + 1));
  return `${lines.join("\n")}\n`;
}

function jobLines(job: ReportJob, number: number): string[] {
  const { name, scenarios } = job;
  const inner = scenarios.flatMap((scenario, index) => scenarioLines(scenario, index + 1));
  const { reason = "", failure, reproduce } = job;
  const lines = [...reason.split("\n"), ...failure?.logTail.slice(-MAX_LINES) ?? []].filter((line) =>
    line !== ""
  );
  const why = failedAsWhole(job) ? diagnostics([...lines, `reproduce: ${reproduce}`]) : [];
  const nested = scenarios.length === 0 ? [] : [
    "  KTAP version 1",
    `  # Subtest: ${description(name)}`,
    `  1..${scenarios.length}`,
    ...inner.map((line) => `  ${line}`),
  ];
  return [...nested, ...why, resultLine(job.status === "pass", number, name, directiveOf(job))];
}

function directiveOf(job: ReportJob): string | undefined {
  const { status, failure, reason = "" } = job;
  if (status === "missing") return `ERROR ${jobReason(job)}`;
  if (status === "pass" || failure === undefined || failure.kind === "test") return undefined;
  return failure.kind === "deadline" ? `TIMEOUT ${reason}` : `ERROR ${jobReason(job)}`;
}

function scenarioLines(scenario: ReportScenario, number: number): string[] {
  const { status, reason = "", title } = scenario;
  if (status === "pass") return [resultLine(true, number, title)];
  if (status === "skip") return [resultLine(true, number, title, `SKIP ${reason}`)];
  const splats = failingSplats(scenario).flatMap(({ title, frames }) => [
    title,
    ...frames.slice(0, MAX_LINES).map((frame) => `  ${frame}`),
  ]);
  const directive = status === "lost" ? `ERROR guest lost: ${reason.split("\n")[0]}` : undefined;
  const lines = diagnostics([...splats, ...failureLines(scenario, MAX_FINDINGS)]);
  return [...lines, resultLine(false, number, title, directive)];
}

function resultLine(isOk: boolean, number: number, name: string, directive?: string): string {
  const tail = directive === undefined ? "" : ` # ${oneLine(directive).trim()}`;
  return `${isOk ? "ok" : "not ok"} ${number} ${description(name)}${tail}`;
}

/** Names can hold any words but no hash sign, which would begin the directive. */
function description(name: string): string {
  return oneLine(name).replaceAll("#", "_").trim();
}

function diagnostics(lines: readonly string[]): string[] {
  // The bar keeps the line from being taken for the name of a subtest.
  return lines.flatMap((line) => line.split(/\r\n|\r|\n/)).map((line) => `# | ${oneLine(line)}`.trimEnd());
}

function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.toWellFormed().replace(/[\0-\x1f\x7f\x85\u2028\u2029]+/g, " ")
    .replace(END_WORDS, (words) => words.replace(":", ","));
}
