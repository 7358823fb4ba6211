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

const MAX_FINDINGS = 100;
const MAX_LOG_LINES = 200;

/** Name of the test case that stands for a job as a whole. */
const WHOLE_JOB = "(the whole job)";

/**
 * Results as JUnit XML, in the form that CI systems read: a suite for each job, a case for each scenario. A job
 * that failed before its scenarios, or did not run, is a suite with one case that is an error.
 */
export function junitReport(tree: ResultTree): string {
  const suites = tree.jobs.map((job) => suiteOf(job, tree));
  const sum = (key: keyof SuiteCounts): number => suites.reduce((all, { counts }) => all + counts[key], 0);
  const attributes = attributeText({
    name: "ckptest",
    tests: sum("tests"),
    failures: sum("failures"),
    errors: sum("errors"),
    time: seconds(tree.run.milliseconds / 1000),
  });
  const body = suites.map(({ xml }) => xml).join("");
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites${attributes}>\n${body}</testsuites>\n`;
}

interface SuiteCounts {
  readonly tests: number;
  readonly failures: number;
  readonly errors: number;
  readonly skipped: number;
}

function suiteOf(job: ReportJob, tree: ResultTree): { xml: string; counts: SuiteCounts } {
  const broken = job.scenarios.filter(({ status }) => status === "fail" || status === "lost").length;
  const isWhole = job.status === "missing" || (job.status === "fail" && broken === 0);
  // A suite without scenarios of its own, such as the mutants, is one case.
  const isOneCase = isWhole || job.scenarios.length === 0;
  const count = (status: string): number => job.scenarios.filter((item) => item.status === status).length;
  const counts = {
    tests: job.scenarios.length + (isOneCase ? 1 : 0),
    failures: count("fail") + (isWhole && job.failure?.kind === "test" ? 1 : 0),
    errors: count("lost") + (isWhole && job.failure?.kind !== "test" ? 1 : 0),
    skipped: count("skip"),
  };
  const attributes = attributeText({
    name: job.name,
    ...counts,
    time: seconds(job.seconds),
    timestamp: (job.started ?? tree.run.started).replace(/(\.\d+)?Z$/, ""),
  });
  const cases = job.scenarios.map((scenario) => scenarioCase(job, scenario));
  if (isOneCase) cases.push(wholeCase(job));
  const xml = `  <testsuite${attributes}>\n${propertyText(job)}${cases.join("")}  </testsuite>\n`;
  return { xml, counts };
}

function propertyText({ kernel, platform, flavour, suite, digest, digests, kernels }: ReportJob): string {
  const properties = Object.entries({
    kernel: kernels[0]?.name ?? kernel,
    platform,
    flavour,
    suite,
    accelerator: kernels[0]?.accelerator,
    digest,
    ...Object.fromEntries(Object.entries(digests ?? {}).map(([name, value]) => [`digest.${name}`, value])),
  }).filter(([, value]) => value !== undefined);
  const lines = properties.map(([name, value]) =>
    `      <property${attributeText({ name, value: value as string })}/>\n`
  );
  return `    <properties>\n${lines.join("")}    </properties>\n`;
}

function scenarioCase(job: ReportJob, scenario: ReportScenario): string {
  const attributes = attributeText({
    name: scenario.title,
    classname: className(job),
    time: seconds(scenario.milliseconds / 1000),
  });
  const { status, reason = "" } = scenario;
  if (status === "pass") return `    <testcase${attributes}/>\n`;
  if (status === "skip") {
    return `    <testcase${attributes}>\n      <skipped${
      attributeText({ message: reason })
    }/>\n    </testcase>\n`;
  }
  const findings = scenarioFindings(scenario);
  const lines = findings.slice(0, MAX_FINDINGS).map(findingText);
  if (findings.length > MAX_FINDINGS) lines.push(`... and ${findings.length - MAX_FINDINGS} more findings`);
  if (reason !== "") lines.push(reason);
  const [first = "it failed"] = [...failingSplats(scenario).map(({ title }) => title), ...lines];
  const type = status === "lost" ? "guest lost" : findings[0]?.id ?? "failure";
  const element = status === "lost" ? "error" : "failure";
  const out = [...lines, reproducedText(scenario), `reproduce: ${scenario.reproduce}`];
  if (scenario.files !== undefined) out.push(`files: ${scenario.files}`);
  return [
    `    <testcase${attributes}>\n`,
    `      <${element}${attributeText({ message: first.split("\n")[0] ?? "", type })}>${
      xmlText(lines.join("\n"))
    }</${element}>\n`,
    outputElement("system-out", out),
    outputElement("system-err", kernelWords(scenario)),
    "    </testcase>\n",
  ].join("");
}

/** What the kernel said: its complaints decoded, else the end of its log. */
function kernelWords({ splats, kept }: ReportScenario): string[] {
  if (splats.length === 0) return kept?.kernelLog?.trimEnd().split(/\r?\n/).slice(-MAX_LOG_LINES) ?? [];
  return splats.flatMap(({ title, frames, lines, allowed }) => [
    allowed === undefined ? title : `${title} (allowed: ${allowed})`,
    ...frames.map((frame) => `  ${frame}`),
    ...lines.slice(0, MAX_LOG_LINES),
  ]);
}

function wholeCase(job: ReportJob): string {
  const attributes = attributeText({
    name: WHOLE_JOB,
    classname: className(job),
    time: seconds(job.seconds),
  });
  if (job.status === "pass") return `    <testcase${attributes}/>\n`;
  const isMissing = job.status === "missing";
  const reason = job.reason ?? "no reason was recorded";
  const message = isMissing ? `did not run: ${reason}` : `${failureText(job)}: ${reason}`;
  const type = isMissing ? "missing" : job.failure?.kind ?? "failure";
  const element = !isMissing && type === "test" ? "failure" : "error";
  const tail = job.failure?.logTail.join("\n") ?? "";
  return [
    `    <testcase${attributes}>\n`,
    `      <${element}${attributeText({ message, type })}>${xmlText(tail)}</${element}>\n`,
    outputElement("system-out", [message, `reproduce: ${job.reproduce}`]),
    "    </testcase>\n",
  ].join("");
}

function outputElement(name: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `      <${name}>${xmlText(lines.join("\n"))}</${name}>\n`;
}

/** CI systems group by the parts between the dots: those of the job, and no dots within them. */
function className({ name }: ReportJob): string {
  return `ckptest.${name.replaceAll(".", "_").replaceAll("/", ".")}`;
}

function seconds(value: number): string {
  return value.toFixed(3);
}

function attributeText(attributes: Readonly<Record<string, string | number>>): string {
  return Object.entries(attributes).map(([name, value]) => ` ${name}="${xmlAttribute(String(value))}"`).join(
    "",
  );
}

/** Stands for a character that XML cannot hold. */
const REPLACEMENT = "\ufffd";

/**
 * What is no character of XML 1.0 (section 2.2): control characters but for tab and line ends, halves of
 * surrogate pairs, and two noncharacters. No escape can name them either.
 */
// deno-lint-ignore no-control-regex
const ILLEGAL = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g;

/** Text of an element. Characters that XML cannot hold become U+FFFD. */
export function xmlText(text: string): string {
  return text.toWellFormed().replace(ILLEGAL, REPLACEMENT)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    // A parser would make a line feed of it.
    .replaceAll("\r", "&#13;");
}

/** The value of an attribute, without its quotes. White space is kept as it is. */
export function xmlAttribute(text: string): string {
  return xmlText(text).replaceAll('"', "&quot;").replaceAll("\n", "&#10;").replaceAll("\t", "&#9;");
}
