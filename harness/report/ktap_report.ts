// SPDX-License-Identifier: MIT

import { findingText } from "../../lib/image/finding.ts";
import { failureText } from "./problems.ts";
import {
  failingSplats,
  type ReportJob,
  type ReportScenario,
  reproducedText,
  type ResultTree,
  scenarioFindings,
} from "./result_tree.ts";

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
  const isWhole = !scenarios.some(({ status }) => status === "fail" || status === "lost");
  const why = job.status === "pass" || !isWhole ? [] : wholeLines(job);
  const nested = scenarios.length === 0 ? [] : [
    "  KTAP version 1",
    `  # Subtest: ${description(name)}`,
    `  1..${scenarios.length}`,
    ...inner.map((line) => `  ${line}`),
  ];
  return [...nested, ...why, resultLine(job.status === "pass", number, name, directiveOf(job))];
}

function directiveOf(job: ReportJob): string | undefined {
  if (job.status === "missing") return `ERROR did not run: ${job.reason ?? "no reason was recorded"}`;
  if (job.status === "pass" || job.failure === undefined || job.failure.kind === "test") return undefined;
  return job.failure.kind === "deadline"
    ? `TIMEOUT ${job.reason ?? ""}`
    : `ERROR ${failureText(job)}: ${job.reason ?? "no reason was recorded"}`;
}

function wholeLines(job: ReportJob): string[] {
  const lines = [...(job.reason ?? "").split("\n"), ...(job.failure?.logTail.slice(-MAX_LINES) ?? [])];
  return diagnostics([...lines.filter((line) => line !== ""), `reproduce: ${job.reproduce}`]);
}

function scenarioLines(scenario: ReportScenario, number: number): string[] {
  const { status, reason = "" } = scenario;
  if (status === "pass") return [resultLine(true, number, scenario.title)];
  if (status === "skip") return [resultLine(true, number, scenario.title, `SKIP ${reason}`)];
  const findings = scenarioFindings(scenario);
  const lines = findings.slice(0, MAX_FINDINGS).map(findingText);
  if (findings.length > MAX_FINDINGS) lines.push(`and ${findings.length - MAX_FINDINGS} more findings`);
  for (const splat of failingSplats(scenario)) {
    lines.push(splat.title, ...splat.frames.slice(0, MAX_LINES).map((frame) => `  ${frame}`));
  }
  if (reason !== "") lines.push(...reason.split("\n"));
  lines.push(reproducedText(scenario), `reproduce: ${scenario.reproduce}`);
  const directive = status === "lost" ? `ERROR guest lost: ${reason.split("\n")[0]}` : undefined;
  return [...diagnostics(lines), resultLine(false, number, scenario.title, directive)];
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
