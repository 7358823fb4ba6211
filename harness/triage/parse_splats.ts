// SPDX-License-Identifier: MIT

import { type ConsoleLine, consoleLines, rawConsoleLines, withoutMiddle } from "./console_lines.ts";
import { isBar, OpenReport } from "./open_report.ts";
import type { Splat } from "./splat.ts";
import {
  CONSEQUENCE,
  CUT_HERE,
  HEADLESS,
  INJECTED,
  SPLAT_HEADERS,
  type SplatHeader,
  splatOf,
} from "./splat_headers.ts";

/** A stack so close behind a report's end is more of it: other processors, held locks, registers again. */
const MORE_WITHIN_LINES = 60;
const MORE_WITHIN_SECONDS = 2;
/** A kernel that complains on and on, or a guest that pretends to, has said enough by then. */
const MAX_SPLATS = 200;
const MAX_REPORTS = 10 * MAX_SPLATS;

/**
 * The complaints in console text, or in what /sys/kernel/debug/kmemleak says, in the order in which they began; the
 * first ones of a great many. Lines of several tasks and processors are told apart where the kernel names the printer
 * of each (CONFIG_PRINTK_CALLER).
 *
 * @param log text; time stamps may be there or not
 */
export function parseSplats(log: string): Splat[] {
  const raw = rawConsoleLines(withoutMiddle(log));
  const collector = new ReportCollector();
  const ofPrinters = Map.groupBy(consoleLines(raw), ({ caller }) => caller);
  // What names no printer is a program's, and goes with no report: it comes last.
  const unnamed = ofPrinters.get(undefined) ?? [];
  ofPrinters.delete(undefined);
  for (const lines of [...ofPrinters.values(), unnamed]) collector.collect(lines);
  const complaints = collector.reports.filter((report) => !isInjection(report));
  const inOrder = complaints.sort((a, b) => indexOf(a) - indexOf(b));
  return withConsequences(inOrder).slice(0, MAX_SPLATS).map((report) => splatOf(report, raw));
}

/** Whether it is what fault injection says, or the rest of that: its first line is only a notice. */
function isInjection({ header, lines }: OpenReport): boolean {
  return header === INJECTED ||
    (header === HEADLESS && lines.some(({ text }) => /^\s*should_fail_ex\b/.test(text)));
}

function indexOf({ lines }: OpenReport): number {
  return lines[0]?.index ?? 0;
}

/** Panics that follow from another report are the end of that one, whoever printed it. */
function withConsequences(reports: readonly OpenReport[]): OpenReport[] {
  const kept: OpenReport[] = [];
  for (const report of reports) {
    const cause = kept.at(-1);
    if (cause && report.lines.some(({ text }) => CONSEQUENCE.test(text))) {
      for (const line of report.lines) cause.lines.push(line);
      cause.isComplete = true;
    } else {
      kept.push(report);
    }
  }
  return kept;
}

class ReportCollector {
  readonly reports: OpenReport[] = [];
  #open: OpenReport | undefined;
  /** Bars that stand before a header. */
  #before: ConsoleLine[] = [];
  /** Last line of the last report of this stream. */
  #end: { line: ConsoleLine; at: number } | undefined;

  collect(lines: readonly ConsoleLine[]): void {
    this.#open = this.#end = undefined;
    for (const [at, line] of lines.entries()) this.#line(line, at);
    this.#open = undefined;
  }

  #line(line: ConsoleLine, at: number): void {
    const found = headerOf(line.text);
    if (found) return this.#begin(found, line, at);
    const taken = this.#open?.take(line) ?? "refused";
    if (taken !== "refused") this.#end = { line, at };
    if (taken !== "taken") this.#open = undefined;
    if (taken !== "refused") this.#before = [];
    else if (isBar(line.text)) this.#before = [line];
    else if (line.text !== "") this.#before = [];
    if (taken === "refused") this.#headless(line, at);
  }

  #begin({ header, match }: Header, line: ConsoleLine, at: number): void {
    if (this.#open?.includes(header, line)) {
      this.#open.include(header, match, line);
    } else {
      if (this.#open) this.#open.isComplete = true;
      this.#start(header, match, line);
    }
    this.#before = [];
    this.#end = { line, at };
  }

  #start(header: SplatHeader, match: RegExpExecArray, line: ConsoleLine): void {
    if (this.reports.length === MAX_REPORTS) return;
    this.#open = new OpenReport(header, match, this.#before, line);
    this.#open.isComplete = header.end === "line";
    this.reports.push(this.#open);
  }

  /** A stack that belongs to no report is the rest of one whose beginning is lost, or more of the last one. */
  #headless(line: ConsoleLine, at: number): void {
    const match = HEADLESS.pattern.exec(line.text);
    if (!match) return;
    const end = this.#end;
    const gap = (line.time ?? 0) - (end?.line.time ?? 0);
    if (end && at - end.at <= MORE_WITHIN_LINES && gap <= MORE_WITHIN_SECONDS) {
      this.#open = this.reports.at(-1);
      this.#open?.lines.push(line);
    } else {
      this.#start(HEADLESS, match, line);
    }
    this.#end = { line, at };
  }
}

interface Header {
  readonly header: SplatHeader;
  readonly match: RegExpExecArray;
}

/** Most lines begin nothing: one look instead of many. */
const ANY_HEADER = new RegExp(
  [CUT_HERE, INJECTED, ...SPLAT_HEADERS].map(({ pattern }) => `(?:${pattern.source})`).join("|"),
  "i",
);

function headerOf(text: string): Header | undefined {
  if (!ANY_HEADER.test(text)) return undefined;
  for (const header of [CUT_HERE, INJECTED, ...SPLAT_HEADERS]) {
    const match = header.pattern.exec(text);
    if (match) return { header, match };
  }
  return undefined;
}
