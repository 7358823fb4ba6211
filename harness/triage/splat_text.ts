// SPDX-License-Identifier: MIT

import type { ScenarioRecord } from "../run/run_result.ts";
import type { ReportedSplat } from "../run/scenario_result.ts";
import { isGenericFunction } from "./is_generic_function.ts";
import type { StackFrame } from "./splat.ts";

const FRAMES_SHOWN = 8;
const LINES_SHOWN = 12;
/** The rest of a line is in the log: code bytes, long messages. */
const COLUMNS_SHOWN = 120;

/**
 * A splat for a person: its stack with lines of the source, and the beginning of the report. The title stands
 * above it already.
 */
export function splatText({ splat, decoded }: ReportedSplat): string[] {
  const all = splat.frames.map((frame, index) => ({ frame, places: decoded?.frames[index] ?? [] }))
    .filter(({ frame }) => frame.reliable);
  // What reported it, or was asked for something, stands between and says nothing.
  const own = all.filter(({ frame }) => !isGenericFunction(frame.function));
  const reliable = own.length > 0 ? own : all;
  const width = Math.max(0, ...reliable.slice(0, FRAMES_SHOWN).map(({ frame }) => frameText(frame).length));
  const lines = [`${splat.title} [${splat.fingerprint}]`];
  for (const { frame, places } of reliable.slice(0, FRAMES_SHOWN)) {
    const where = places.join(", inlined by ");
    lines.push(`  ${where ? `${frameText(frame).padEnd(width)}  ${where}` : frameText(frame)}`);
  }
  if (reliable.length > FRAMES_SHOWN) lines.push(`  ... and ${reliable.length - FRAMES_SHOWN} more entries`);
  if (decoded?.note) lines.push(`  ${decoded.note}`);
  for (const line of (decoded?.lines ?? splat.lines).slice(0, LINES_SHOWN)) {
    lines.push(`  | ${line.slice(0, COLUMNS_SHOWN)}`);
  }
  const more = splat.lines.length - LINES_SHOWN;
  if (more > 0) lines.push(`  | ... ${more} more lines`);
  return lines;
}

/** A stack entry as the kernel prints it. */
export function frameText({ function: name, offset, size, module }: StackFrame): string {
  return `${name}+0x${offset.toString(16)}/0x${size.toString(16)}${module ? ` [${module}]` : ""}`;
}

const SCENARIOS_SHOWN = 5;

/** Lines that name each distinct splat once, with its count and where it was seen; the allowed ones after it. */
export function distinctSplats(records: readonly ScenarioRecord[]): string[] {
  const all = records.flatMap((record) => record.splats.map((splat) => ({ splat, where: placeOf(record) })));
  const { seen = [], used = [] } = Object.groupBy(all, ({ splat: { allowed } }) => allowed ? "used" : "seen");
  const bugs = Map.groupBy(seen, ({ splat: { title, fingerprint } }) => `${title} [${fingerprint}]`);
  const lines = bugs.size === 0 ? [] : [`${bugs.size} distinct ${bugs.size === 1 ? "splat" : "splats"}:`];
  for (const [name, group] of bugs) {
    const where = [...new Set(group.map(({ where }) => where))];
    const shown = where.slice(0, SCENARIOS_SHOWN).join(", ");
    const more = where.length > SCENARIOS_SHOWN ? ` and ${where.length - SCENARIOS_SHOWN} more` : "";
    lines.push(`  ${name}, ${times(group.length)}: ${shown}${more}`);
  }
  for (
    const [name, { length }] of Map.groupBy(used, ({ splat }) => `${splat.title}: allowed ${splat.allowed}`)
  ) {
    lines.push(`${name}, ${times(length)}`);
  }
  return lines;
}

function placeOf({ platform, scenario, phase }: ScenarioRecord): string {
  return `${platform}/${scenario}${phase === "afterwards" ? " (afterwards)" : ""}`;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
