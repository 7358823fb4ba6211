// SPDX-License-Identifier: MIT

import { blockHashHex } from "../../lib/abi/block_hash.ts";
import { MAX_LENGTH } from "./console_lines.ts";
import { isGenericFunction } from "./is_generic_function.ts";
import type { OpenReport } from "./open_report.ts";
import { plainFunction, type Splat, type SplatKind, type StackFrame, stackFrame } from "./splat.ts";
import { titleOf } from "./splat_headers.ts";

/** Reports of where something stands by chance: their stacks differ each time. */
const BY_CHANCE: ReadonlySet<SplatKind> = new Set(
  ["hung-task", "rcu-stall", "soft-lockup", "hard-lockup", "oom-kill", "page-allocation-failure"],
);
const MAX_TITLE = 160;
/** Lines of a report that are kept: the log has them all. */
const MAX_LINES = 2000;
/** Callers that tell two bugs in one function apart. */
const CALLERS = 2;

/**
 * Makes a splat of a report.
 *
 * @param raw the lines of the console, as `rawConsoleLines()` gives them
 */
export function splatOf(report: OpenReport, raw: readonly string[]): Splat {
  const { header, match } = report;
  const texts = report.lines.map(({ text }) => text);
  while (texts.at(-1) === "") texts.pop();
  const frames = stackOf(texts, BY_CHANCE.has(header.kind));
  const own = frames.filter(({ reliable, function: name }) => reliable && !isGenericFunction(name));
  const top = own[0] ?? frames.find(({ reliable }) => reliable) ?? frames[0];
  const place = top && plainFunction(top.function);
  const title = titleOf(header, { match, place, text: texts.join("\n") }).slice(0, MAX_TITLE);
  const callers = BY_CHANCE.has(header.kind) ? [] : own.slice(1, 1 + CALLERS);
  const key = [header.kind, title, ...callers.map((frame) => plainFunction(frame.function))].join("\n");
  const indexes = [...new Set(report.lines.slice(0, texts.length).map(({ index }) => index))];
  return {
    kind: header.kind,
    title,
    fingerprint: blockHashHex(new TextEncoder().encode(key)),
    lines: indexes.slice(0, MAX_LINES).map((index) => raw[index]!.slice(0, MAX_LENGTH)),
    frames,
    isComplete: report.isComplete,
  };
}

/**
 * The stack of what happened: where the processor stood, and the first call trace. A report may show more:
 * who allocated, who holds other locks. Without "Call Trace:" every entry counts.
 */
function stackOf(lines: readonly string[], withoutInterrupts: boolean): StackFrame[] {
  const start = startOfStack(lines);
  const places = lines.slice(0, Math.max(start, 0)).map(stackFrame)
    .filter((frame) => frame !== undefined).filter(({ exact }) => exact);
  const entries = start < 0
    ? lines.map(stackFrame)
    : [...places, ...traceFrom(lines, start, withoutInterrupts)];
  const frames = entries.filter((frame) => frame !== undefined);
  const seen = new Set<string>();
  // The same place stands in the header, as RIP, and once more after the end.
  return frames.filter((frame) => {
    const key = `${frame.function}+${frame.offset}`;
    const isNew = !frame.exact || !seen.has(key);
    seen.add(key);
    return isNew;
  });
}

function startOfStack(lines: readonly string[]): number {
  const backtrace = lines.findIndex((line) => /^stack backtrace:/.test(line));
  return lines.findIndex((line, index) => index >= backtrace && /^\s*Call [Tt]race:/.test(line));
}

function traceFrom(lines: readonly string[], start: number, withoutInterrupts: boolean): StackFrame[] {
  const all: StackFrame[] = [];
  const outside: StackFrame[] = [];
  let depth = 0;
  let foreign = 0;
  for (const line of lines.slice(start + 1)) {
    if (/^\s*<(IRQ|NMI|SOFTIRQ|#DF|ENTRY_TRAMPOLINE)>/.test(line)) depth++;
    else if (/^\s*<\/(IRQ|NMI|SOFTIRQ|#DF|ENTRY_TRAMPOLINE)>/.test(line)) depth = Math.max(0, depth - 1);
    else if (/^\s*<\/TASK>|^$|Call [Tt]race:|^(Allocated|Freed|Modules linked|Mem-Info)/.test(line)) break;
    const frame = stackFrame(line);
    if (frame) {
      all.push(frame);
      if (depth === 0) outside.push(frame);
    } else if (++foreign > 30) {
      break;
    }
  }
  return withoutInterrupts && outside.length > 0 ? outside : all;
}
