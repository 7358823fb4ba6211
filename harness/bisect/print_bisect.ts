// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { shellJoin } from "../../vm/host/shell_quote.ts";
import { formatDuration } from "../nightly/plan/parse_quantity.ts";
import { nameOfSuite } from "../nightly/plan/expand_matrix.ts";
import type { Terminal } from "../report/terminal.ts";
import type { BisectRequest } from "./bisect_request.ts";
import type { BisectResult, BisectStep } from "./bisect_result.ts";
import type { Change } from "./change_history.ts";
import { missProbability } from "./failure_rate.ts";

/** Prints all steps of a bisect, and what it found. */
export function printBisect(result: BisectResult, directory: string, terminal: Terminal): void {
  const { steps, status, seconds, failure, firstBad, confidence, problem } = result;
  const print = (line: string): void => terminal.result(line);
  print(
    `\n${steps.length} ${steps.length === 1 ? "change" : "changes"} tried, in ${formatDuration(seconds)}:`,
  );
  for (const step of steps) print(`  ${stepLine(step)}`);
  print("");
  if (failure) print(`failure: ${failure.scenario}: ${failure.text}`);
  if (status === "refused") {
    print(terminal.style(`no answer: ${problem}`, "fail"));
    return;
  }
  print(rateText(result));
  if (status === "several") {
    const why = firstBad.length === 0
      ? "no change fits: runs contradict each other"
      : `one of these ${firstBad.length}`;
    print(terminal.style(`first bad change: ${why}; the others were skipped`, "fail"));
  }
  for (const change of firstBad) printChange(change, result.request, terminal);
  const last = steps.findLast(({ verdict, change }) =>
    verdict === "bad" && firstBad.at(-1)?.id === change.id
  );
  const files = last?.runs.findLast(({ failures }) => failures.length > 0)?.files;
  if (files !== undefined) print(`  failing run: ${join(directory, files)}`);
  print(`confidence: ${percent(confidence)} (asked for: ${percent(result.request.confidence)})`);
}

/** The command that shows a change. */
export function showCommand({ id, name }: Change, { source }: BisectRequest): string {
  return source.kind === "git"
    ? shellJoin(["git", "-C", source.repository, "show", id])
    : shellJoin(["cat", join(source.directory, name)]);
}

function printChange(change: Change, request: BisectRequest, terminal: Terminal): void {
  const { name, title, author, date } = change;
  const { source, platform, flavour, suite } = request;
  const print = (line: string): void => terminal.result(line);
  print(terminal.style(`first bad change: ${source.kind === "git" ? change.id : name}`, "bold"));
  print(`  title:   ${title}`);
  print(`  author:  ${author}`);
  print(`  date:    ${date}`);
  print(`  show it: ${showCommand(change, request)}`);
  if (source.kind === "git" && suite.kind === "catalogue" && source.repository.startsWith("/")) {
    const tree = `../linux-${name}`;
    const filter = suite.filter.flatMap((text) => ["--filter", text]);
    const on = ["--arch", platform, ...(flavour === "plain" ? [] : ["--flavour", flavour]), ...filter];
    print(
      `  see it:  ${
        shellJoin(["git", "-C", source.repository, "worktree", "add", "--detach", tree, change.id])
      }`,
    );
    print(
      `           ${
        shellJoin(["deno", "task", "test:qemu", "--kernel-tree", join(source.repository, tree), ...on])
      }`,
    );
  }
}

/** What the confidence rests on. */
function rateText({ rate, steps, request }: BisectResult): string {
  const { failed, runs } = rate;
  const goods = steps.filter(({ verdict }) => verdict === "good");
  const fewest = Math.min(...goods.map((step) => step.runs.length));
  const how = failed === runs ? "each time" : `in ${failed} of ${runs} runs`;
  const miss = goods.length === 0
    ? ""
    : `; a bad change passes ${fewest === 1 ? "once" : `${fewest} times in a row`} with a probability of ` +
      `${percent(missProbability(fewest, rate))} at most`;
  return `rate:    it showed ${how} (${runs} runs) on bad changes${miss} [${nameOfSuite(request.suite)}]`;
}

function stepLine({ change, verdict, reason, runs }: BisectStep): string {
  const failed = runs.filter(({ failures }) => failures.length > 0).length;
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0);
  const count = `${failed} of ${runs.length} runs failed`;
  const what = verdict === "skipped" ? reason : count;
  const title = change.name.includes("-") || change.name === "0" ? "" : `  ${change.title}`;
  return `${verdict.padEnd(9)}  ${change.name}${title}  ${formatDuration(seconds)}  ${what}`;
}

function percent(share: number): string {
  const value = share * 100;
  if (value > 99.99 && value < 100) return "over 99.99 %";
  return `${value.toFixed(value > 99 || value < 1 ? 2 : 1)} %`;
}
