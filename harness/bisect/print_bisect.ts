// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { shellJoin } from "../../vm/host/shell_quote.ts";
import { formatDuration } from "../run/quantity.ts";
import type { Terminal } from "../report/terminal.ts";
import type { BisectRequest } from "./bisect_request.ts";
import type { BisectAnswer, BisectRun, Change, Failure } from "./bisect_state.ts";
import { missProbability } from "./confidence.ts";
import type { Evidence } from "./evidence.ts";
import { verdictOfRun } from "./run_outcome.ts";

interface PrintOptions {
  readonly tried: readonly Change[];
  readonly evidence: Evidence;
  readonly request: BisectRequest;
  readonly directory: string;
  readonly terminal: Terminal;
}

/** Prints all changes that were tried, and what was found. */
export function printBisect(answer: BisectAnswer, options: PrintOptions): void {
  const { firstBad, confidence, failure, problem } = answer;
  const { tried, evidence, request, directory, terminal } = options;
  const print = (line: string): void => terminal.result(line);
  print("\nchanges tried:");
  for (const change of tried) print(`  ${changeLine(change, evidence)}`);
  print("");
  if (failure) print(`failure: ${failure.scenario}: ${failure.text}`);
  if (problem) return print(terminal.style(`no answer: ${problem.text}`, "fail"));
  print(rateText(evidence));
  if (firstBad.length !== 1) {
    print(
      terminal.style(`first bad change: one of these ${firstBad.length}; the others were skipped`, "fail"),
    );
  }
  const { source } = request;
  for (const { id, name, title, author, date } of firstBad) {
    const isPatch = source.kind === "patches";
    const show = isPatch
      ? ["cat", join(source.directory, name)]
      : ["git", "-C", source.repository, "show", id];
    print(terminal.style(`first bad change: ${isPatch ? name : id}`, "bold"));
    print(`  title:   ${title}\n  author:  ${author}\n  date:    ${date}\n  show it: ${shellJoin(show)}`);
  }
  const last = evidence.runsOf(firstBad.at(-1)?.id ?? "").findLast(({ failures }) => failures.length > 0);
  if (last) print(`  failing run: ${join(directory, last.files)}`);
  print(`confidence: ${percent(confidence)} (asked for: ${percent(request.confidence)})`);
}

/** One line on a run. */
export function runLine({ name, title }: Change, run: BisectRun, wanted: Failure | undefined): string {
  const { failures, seconds } = run;
  const failure = failures.find(({ scenario }) => scenario === wanted?.scenario) ?? failures[0];
  const verdict = wanted ? verdictOfRun(run, wanted) : run.skip ?? (failure ? "fail" : "pass");
  const word = typeof verdict === "string" ? verdict : "skip";
  const head = `${word.padEnd(4)}  ${nameOf(name, title)} (${formatDuration(seconds)})`;
  if (word === "pass") return head;
  return `${head}\n      ${
    typeof verdict === "string" ? `${failure?.scenario}: ${failure?.text}` : verdict.text
  }`;
}

function changeLine({ id, name, title }: Change, evidence: Evidence): string {
  const runs = evidence.runsOf(id);
  const failed = runs.filter(({ failures }) => failures.length > 0).length;
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0);
  const verdict = evidence.verdict(id) ?? "undecided";
  const [word, what] = typeof verdict === "string"
    ? [verdict, `${failed} of ${runs.length} runs failed`]
    : ["skipped", verdict.text];
  return `${word.padEnd(9)}  ${nameOf(name, title)}  ${formatDuration(seconds)}  ${what}`;
}

function nameOf(name: string, title: string): string {
  return name.includes("-") || name === "0" ? name : `${name}  ${title}`;
}

function rateText(evidence: Evidence): string {
  const { rate: { failed, runs } } = evidence;
  const goods = evidence.tried.filter((id) => evidence.verdict(id) === "good");
  const fewest = Math.min(...goods.map((id) => evidence.count(id, "pass")));
  const how = failed === runs ? "each time" : `in ${failed} of ${runs} runs`;
  if (goods.length === 0) return `rate:    it showed ${how} (${runs} runs) on bad changes`;
  return `rate:    it showed ${how} (${runs} runs) on bad changes; a bad change passes ` +
    `${fewest === 1 ? "once" : `${fewest} times in a row`} with a probability of ` +
    `${percent(missProbability(fewest, evidence.rate))} at most`;
}

function percent(share: number): string {
  const value = share * 100;
  if (value > 99.99 && value < 100) return "over 99.99 %";
  return `${value.toFixed(value > 99 || value < 1 ? 2 : 1)} %`;
}
