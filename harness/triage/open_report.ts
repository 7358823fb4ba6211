// SPDX-License-Identifier: MIT

import type { ConsoleLine } from "./console_lines.ts";
import { isBar, isEndMark, isReportLine } from "./report_lines.ts";
import { CUT_HERE, type SplatHeader } from "./splat_headers.ts";
import { stackFrame } from "./stack_frame.ts";

/** Seconds of silence after which a foreign line is none of the report's. */
const CALM_SECONDS = 2;
/** Foreign lines that a report without a stack takes in at most. */
const MAX_FOREIGN = 40;

type Taken = "taken" | "last" | "refused";

/** A report whose end has not come yet. */
export class OpenReport {
  #header: SplatHeader;
  #match: RegExpExecArray;
  readonly lines: ConsoleLine[];
  isComplete = false;
  #stack: "none" | "inside" | "after" = "none";
  #sawBacktraceWords = false;
  #foreign = 0;
  /** The newest time stamp. */
  #time: number | undefined;

  /** @param before lines just before the header that belong to it: bars, "cut here" */
  constructor(
    header: SplatHeader,
    match: RegExpExecArray,
    before: readonly ConsoleLine[],
    line: ConsoleLine,
  ) {
    this.#header = header;
    this.#match = match;
    this.lines = [...before, line];
    this.#time = this.lines.findLast(({ time }) => time !== undefined)?.time;
    this.#look(line);
  }

  get header(): SplatHeader {
    return this.#header;
  }

  get match(): RegExpExecArray {
    return this.#match;
  }

  /** Whether a line that could begin a report is a part of this one. */
  includes(header: SplatHeader, line: ConsoleLine): boolean {
    if (this.#header.includes?.test(line.text)) return true;
    if (!this.#header.isPrelude || this.#stack !== "none") return false;
    // What a prelude announces; two preludes of the same sort are two reports, one of them cut.
    const isSequel = ["BUG", "WARN", "oops", "double-fault", "stack-overflow"].includes(header.kind);
    return this.#header === CUT_HERE || header === CUT_HERE || (isSequel && header !== this.#header);
  }

  /** Takes a line that {@linkcode OpenReport.includes} said yes to. */
  include(header: SplatHeader, match: RegExpExecArray, line: ConsoleLine): void {
    if (this.#header === CUT_HERE) {
      this.#header = header;
      this.#match = match;
    }
    this.lines.push(line);
    this.#look(line);
  }

  /** Offers a line that begins no report. */
  take(line: ConsoleLine): Taken {
    const { text } = line;
    if (this.#header.end === "line" || this.#isCalm(line)) return this.#end();
    if (isEndMark(text) || (isBar(text))) {
      this.lines.push(line);
      this.isComplete = true;
      return "last";
    }
    // A line without a time among others with one is not the kernel's: no part of the report, and not its
    // end.
    const isForeign = !isReportLine(text);
    const hasNoTime = line.time === undefined && this.lines.at(0)?.time !== undefined;
    if (isForeign && !hasNoTime && this.#endsAtForeign()) return this.#end();
    if (isForeign && ++this.#foreign > MAX_FOREIGN) return this.#end();
    this.lines.push(line);
    this.#look(line);
    return "taken";
  }

  #end(): Taken {
    this.isComplete = true;
    return "refused";
  }

  #endsAtForeign(): boolean {
    if (this.#header.end === "bar") return false;
    if (this.#header.end === "backtrace" && !this.#sawBacktraceWords) return false;
    return this.#stack === "after" || this.#stack === "inside";
  }

  #isCalm(line: ConsoleLine): boolean {
    if (this.#time === undefined || line.time === undefined || isReportLine(line.text)) return false;
    return line.time - this.#time > CALM_SECONDS;
  }

  #look({ text, time }: ConsoleLine): void {
    this.#time = time ?? this.#time;
    if (/backtrace:$/.test(text)) this.#sawBacktraceWords = true;
    const frame = stackFrame(text);
    if (frame !== undefined && !frame.exact) this.#stack = "inside";
    else if (this.#stack === "inside" && text.trim() !== "" && !/^\s*</.test(text)) this.#stack = "after";
  }
}
