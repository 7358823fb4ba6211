// SPDX-License-Identifier: MIT

import { jobReason } from "./problems.ts";
import {
  failedAsWhole,
  failureLines,
  kernelLines,
  type ReportJob,
  type ReportScenario,
  type ResultTree,
} from "./result_tree.ts";
import { failingSplats, scenarioFindings } from "../run/run_result.ts";

/** Name of the test case that stands for a job as a whole. */
const WHOLE_JOB = "(the whole job)";

/**
 * Results as JUnit XML, in the form that CI systems read: a suite for each job, a case for each scenario. A job
 * that failed before its scenarios, or did not run, is a suite with one case that is an error.
 */
export function junitReport(tree: ResultTree): string {
  const suites = tree.jobs.map((job) => suiteOf(job, tree));
  const sum = (key: keyof SuiteCounts): number => suites.reduce((all, { counts }) => all + counts[key], 0);
  const attributes = {
    ...{ name: "ckptest", tests: sum("tests"), failures: sum("failures"), errors: sum("errors") },
    time: seconds(tree.run.milliseconds / 1000),
  };
  const body = element("testsuites", attributes, [`\n${suites.map(({ xml }) => xml).join("")}`]);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${body}`;
}

interface SuiteCounts {
  readonly tests: number;
  readonly failures: number;
  readonly errors: number;
  readonly skipped: number;
}

function suiteOf(job: ReportJob, tree: ResultTree): { xml: string; counts: SuiteCounts } {
  const isWhole = failedAsWhole(job);
  // A suite without scenarios of its own, such as the mutants, is one case.
  const isOneCase = isWhole || job.scenarios.length === 0;
  const count = (status: string): number => job.scenarios.filter((item) => item.status === status).length;
  const counts = {
    tests: job.scenarios.length + (isOneCase ? 1 : 0),
    failures: count("fail") + (isWhole && job.failure?.kind === "test" ? 1 : 0),
    errors: count("lost") + (isWhole && job.failure?.kind !== "test" ? 1 : 0),
    skipped: count("skip"),
  };
  const attributes = {
    ...{ name: job.name, ...counts, time: seconds(job.seconds) },
    timestamp: (job.started ?? tree.run.started).replace(/(\.\d+)?Z$/, ""),
  };
  const cases = job.scenarios.map((scenario) => scenarioCase(job, scenario));
  if (isOneCase) cases.push(wholeCase(job));
  return { xml: element("testsuite", attributes, ["\n", properties(job), ...cases]), counts };
}

function properties({ kernel, platform, flavour, suite, digest, digests, kernels }: ReportJob): string {
  const values = {
    ...{ kernel: kernels[0]?.name ?? kernel, platform, flavour, suite },
    ...{ accelerator: kernels[0]?.accelerator, digest },
    ...Object.fromEntries(Object.entries(digests ?? {}).map(([name, value]) => [`digest.${name}`, value])),
  };
  const known = Object.entries(values).filter(([, value]) => value !== undefined);
  const lines = known.map(([name, value]) => element("property", { name, value: value! }));
  return element("properties", {}, ["\n", ...lines]);
}

function scenarioCase(job: ReportJob, scenario: ReportScenario): string {
  const { status, reason = "", title, milliseconds, files } = scenario;
  const attributes = { name: title, classname: className(job), time: seconds(milliseconds / 1000) };
  if (status === "pass") return element("testcase", attributes);
  if (status === "skip") {
    return element("testcase", attributes, ["\n", element("skipped", { message: reason })]);
  }
  const lines = failureLines(scenario);
  const message = failingSplats(scenario)[0]?.title ?? lines[0]!;
  const type = status === "lost" ? "guest lost" : scenarioFindings(scenario)[0]?.id ?? "failure";
  return element("testcase", attributes, [
    "\n",
    element(status === "lost" ? "error" : "failure", { message, type }, [xmlText(lines.join("\n"))]),
    output("system-out", [...lines, ...files === undefined ? [] : [`files: ${files}`]]),
    output("system-err", kernelLines(scenario)),
  ]);
}

function wholeCase(job: ReportJob): string {
  const { status, failure, reproduce } = job;
  const attributes = { name: WHOLE_JOB, classname: className(job), time: seconds(job.seconds) };
  if (status === "pass") return element("testcase", attributes);
  const message = jobReason(job);
  const type = status === "missing" ? "missing" : failure?.kind ?? "failure";
  return element("testcase", attributes, [
    "\n",
    element(type === "test" ? "failure" : "error", { message, type }, [
      xmlText(failure?.logTail.join("\n") ?? ""),
    ]),
    output("system-out", [message, `reproduce: ${reproduce}`]),
  ]);
}

function output(name: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : element(name, {}, [xmlText(lines.join("\n"))]);
}

/** An element, in a line of its own. */
function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  content?: readonly string[],
): string {
  const text = Object.entries(attributes).map(([key, value]) => ` ${key}="${xmlAttribute(String(value))}"`)
    .join("");
  return content ? `<${name}${text}>${content.join("")}</${name}>\n` : `<${name}${text}/>\n`;
}

/** CI systems group by the parts between the dots: those of the job, and no dots within them. */
function className({ name }: ReportJob): string {
  return `ckptest.${name.replaceAll(".", "_").replaceAll("/", ".")}`;
}

function seconds(value: number): string {
  return value.toFixed(3);
}

/**
 * What is no character of XML 1.0 (section 2.2): control characters but for tab and line ends, halves of
 * surrogate pairs, and two noncharacters. No escape can name them either.
 */
// deno-lint-ignore no-control-regex
const ILLEGAL = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g;

/** Text of an element. Characters that XML cannot hold become U+FFFD. */
export function xmlText(text: string): string {
  return text.toWellFormed().replace(ILLEGAL, "\ufffd")
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
