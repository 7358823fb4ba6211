// SPDX-License-Identifier: MIT

import { findingText } from "../../lib/image/finding.ts";
import { formatBytes, formatSeconds, someNames } from "./quantity.ts";
import type { Terminal } from "../report/terminal.ts";
import { failingSplats, scenarioFindings, type ScenarioRecord, type SplatRecord } from "./run_result.ts";
import type { ScenarioResult } from "./scenario_result.ts";
import type { DecodedFrames } from "../triage/decode_frames.ts";
import { isGenericFunction } from "../triage/is_generic_function.ts";
import type { Splat } from "../triage/splat.ts";
import type { AllowedSplat } from "../triage/splat_allowlist.ts";

const MAX_FINDINGS = 6;
const MAX_SPLATS = 3;

/** False for scenarios that were skipped, or left over when no guest booted any more. */
export function wasRun({ status, guestCommand, fault }: ScenarioResult): boolean {
  return status !== "skip" && (guestCommand !== "" || fault !== undefined);
}

/** The line of a scenario. */
export function resultLine(
  platform: string,
  result: ScenarioResult,
  terminal: Pick<Terminal, "style">,
): string {
  const { scenario, phase, status, reason, milliseconds, outcome } = result;
  const stops = outcome?.stops ?? [];
  const word = { pass: "ok  ", fail: "FAIL", skip: "skip", lost: "LOST" }[status];
  const columns = [
    terminal.style(word, status === "lost" ? "fail" : status),
    platform.padEnd(8),
    (phase === "afterwards" ? `${scenario} (afterwards)` : scenario).padEnd(26),
    `${stops.reduce((sum, { pages }) => sum + pages, 0)} pages`.padStart(11),
    formatBytes(stops.reduce((sum, { image }) => sum + image.length, 0)).padStart(10),
    formatSeconds(milliseconds).padStart(8),
    ...reason !== undefined && !wasRun(result) ? [reason] : [],
  ];
  return columns.join("  ");
}

/** What went wrong, a line each. */
export function failureLines(record: ScenarioRecord): string[] {
  const findings = scenarioFindings(record);
  const splats = failingSplats(record);
  const more = (count: number, shown: number, what: string): string[] =>
    count > shown ? [`... and ${count - shown} more ${what}`] : [];
  return [
    ...findings.slice(0, MAX_FINDINGS).map(findingText),
    ...more(findings.length, MAX_FINDINGS, "findings"),
    ...record.reason?.split("\n") ?? [],
    ...splats.slice(0, MAX_SPLATS).flatMap(splatText),
    ...more(splats.length, MAX_SPLATS, "splats"),
    ...rerunText(record, splats.length > 0),
  ];
}

/** What the runs alone gave; with a splat, whether it was the same one. */
function rerunText({ reproduced }: ScenarioRecord, hadSplat: boolean): string[] {
  if (!reproduced) return [];
  const { times, of, sameSplat } = reproduced;
  const same = hadSplat && times > 0 ? `, ${sameSplat} of them with the same splat` : "";
  return [
    `run alone in a fresh guest it failed ${
      times > 0 ? "again" : "not again"
    }: reproduced ${times} of ${of}${same}`,
  ];
}

const FRAMES_SHOWN = 8;
const LINES_SHOWN = 12;
/** The rest of a line is in the log: code bytes, long messages. */
const COLUMNS_SHOWN = 120;

/** A complaint as it is recorded and reported, with its lines of the source as far as they were found. */
export function splatRecord(
  { kind, title, fingerprint, frames, lines: plain }: Splat,
  decodedFrames: DecodedFrames | undefined,
  allowed?: AllowedSplat,
): SplatRecord {
  const { frames: decoded = [], lines = plain, note } = decodedFrames ?? {};
  const texts = frames.map(({ function: name, offset, size, module, reliable }, index) => {
    const places = decoded[index] ?? [];
    return `${reliable ? "" : "? "}${name}+0x${offset.toString(16)}/0x${size.toString(16)}` +
      `${module ? ` [${module}]` : ""}${places.length === 0 ? "" : ` (${places.join(", inlined by ")})`}`;
  });
  const why = allowed && `until ${allowed.expires}: ${allowed.reason}`;
  return { kind, title, fingerprint, frames: texts, lines, note, allowed: why };
}

/**
 * A splat for a person: its stack with lines of the source, and the beginning of the report. The title stands
 * above it already.
 */
export function splatText({ title, fingerprint, frames, lines, note }: SplatRecord): string[] {
  const reliable = frames.filter((frame) => !frame.startsWith("? "));
  // What reported it, or was asked for something, stands between and says nothing.
  const own = reliable.filter((frame) => !isGenericFunction(frame.split("+", 1)[0]!));
  const all = (own.length > 0 ? own : reliable)
    .map((frame) => /^(.+?)(?: \((.+)\))?$/.exec(frame)?.slice(1) ?? [frame]);
  const shown = all.slice(0, FRAMES_SHOWN);
  const width = Math.max(0, ...shown.map(([name]) => name!.length));
  const more = [all.length - shown.length, lines.length - LINES_SHOWN] as const;
  return [
    `${title} [${fingerprint}]`,
    ...shown.map(([name, places]) => `  ${places ? `${name!.padEnd(width)}  ${places}` : name}`),
    ...more[0] > 0 ? [`  ... and ${more[0]} more entries`] : [],
    ...note === undefined ? [] : [`  ${note}`],
    ...lines.slice(0, LINES_SHOWN).map((line) => `  | ${line.slice(0, COLUMNS_SHOWN).trimEnd()}`),
    ...more[1] > 0 ? [`  | ... ${more[1]} more lines`] : [],
  ];
}

const SCENARIOS_SHOWN = 5;

/** Lines that name each distinct splat once, with its count and where it was seen; the allowed ones after it. */
export function distinctSplats(records: readonly ScenarioRecord[]): string[] {
  const all = records.flatMap((record) => record.splats.map((splat) => ({ splat, where: placeOf(record) })));
  const { seen = [], used = [] } = Object.groupBy(all, ({ splat: { allowed } }) => allowed ? "used" : "seen");
  const bugs = Map.groupBy(seen, ({ splat: { title, fingerprint } }) => `${title} [${fingerprint}]`);
  const lines = bugs.size === 0 ? [] : [`${bugs.size} distinct ${bugs.size === 1 ? "splat" : "splats"}:`];
  for (const [name, group] of bugs) {
    const where = someNames([...new Set(group.map(({ where }) => where))], SCENARIOS_SHOWN);
    lines.push(`  ${name}, ${times(group.length)}: ${where}`);
  }
  const allowed = Map.groupBy(used, ({ splat }) => `${splat.title}: allowed ${splat.allowed}`);
  return [...lines, ...allowed.entries().map(([name, { length }]) => `${name}, ${times(length)}`)];
}

function placeOf({ platform, scenario, phase }: ScenarioRecord): string {
  return `${platform}/${scenario}${phase === "afterwards" ? " (afterwards)" : ""}`;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}

/** Names that a line of {@linkcode notRestartedLines} has at most. */
const MAX_NAMES = 5;

/** The lines that say which targets were not restarted, and why: reasons with the scenario of each stop. */
export function notRestartedLines(reasons: ReadonlyMap<string, readonly string[]>): string[] {
  const rows = [...reasons].map(([reason, scenarios]) => ({
    reason,
    stops: scenarios.length,
    names: [...new Set(scenarios)],
  }))
    .sort((a, b) => b.stops - a.stops);
  const total = rows.reduce((sum, { stops }) => sum + stops, 0);
  if (total === 0) return [];
  return [
    `${total} stopped targets were not restarted:`,
    ...rows.map(({ reason, stops, names }) => `  ${stops} (${someNames(names, MAX_NAMES)}): ${reason}`),
  ];
}
