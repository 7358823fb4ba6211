// SPDX-License-Identifier: MIT

import type { ReportedSplat, ScenarioResult } from "../run/scenario_result.ts";
import { isGenericFunction } from "./is_generic_function.ts";
import type { Splat, StackFrame } from "./splat.ts";
import { type AllowedSplat, nameOf } from "./splat_allowlist.ts";

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
  for (const line of splat.lines.slice(0, LINES_SHOWN)) lines.push(`  | ${line.slice(0, COLUMNS_SHOWN)}`);
  const more = splat.lines.length - LINES_SHOWN;
  if (more > 0) lines.push(`  | ... ${more} more lines`);
  return lines;
}

/** A stack entry as the kernel prints it. */
export function frameText({ function: name, offset, size, module }: StackFrame): string {
  return `${name}+0x${offset.toString(16)}/0x${size.toString(16)}${module ? ` [${module}]` : ""}`;
}

const SCENARIOS_SHOWN = 5;

/** What the report needs of a result to count splats. */
export interface SplatSource {
  readonly platform: string;
  readonly result: Pick<ScenarioResult, "scenario" | "splats" | "phase">;
}

/** Lines that name each distinct splat once, with its count and where it was seen; the allowed ones after it. */
export function distinctSplats(results: readonly SplatSource[]): string[] {
  const seen = new Map<string, { splat: Splat; count: number; where: Set<string> }>();
  const used = new Map<AllowedSplat, number>();
  for (const { platform, result } of results) {
    for (const { splat, allowed } of result.splats) {
      if (allowed) {
        used.set(allowed, (used.get(allowed) ?? 0) + 1);
        continue;
      }
      const entry = seen.get(splat.fingerprint) ?? { splat, count: 0, where: new Set<string>() };
      entry.count++;
      entry.where.add(placeOf({ platform, result }));
      seen.set(splat.fingerprint, entry);
    }
  }
  const lines = seen.size === 0 ? [] : [`${seen.size} distinct ${seen.size === 1 ? "splat" : "splats"}:`];
  for (const [fingerprint, { splat, count, where }] of seen) {
    const shown = [...where].slice(0, SCENARIOS_SHOWN).join(", ");
    const more = where.size > SCENARIOS_SHOWN ? ` and ${where.size - SCENARIOS_SHOWN} more` : "";
    lines.push(`  ${splat.title} [${fingerprint}], ${times(count)}: ${shown}${more}`);
  }
  for (const [entry, count] of used) {
    lines.push(`allowed until ${entry.expires}, ${times(count)}: ${nameOf(entry)} (${entry.reason})`);
  }
  return lines;
}

function placeOf({ platform, result: { scenario, phase } }: SplatSource): string {
  return `${platform}/${scenario}${phase === "afterwards" ? " (afterwards)" : ""}`;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
