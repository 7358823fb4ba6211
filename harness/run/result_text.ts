// SPDX-License-Identifier: MIT

import { type Finding, findingText } from "../../lib/image/finding.ts";
import { formatBytes, formatSeconds } from "./quantity.ts";
import type { Terminal } from "../report/terminal.ts";
import { splatText } from "../triage/splat_text.ts";
import type { Reruns, ScenarioResult } from "./scenario_result.ts";

const MAX_FINDINGS = 6;
const MAX_SPLATS = 3;

/** All findings of a result; those of an image with its label. */
export function findingsOf({ outcome }: ScenarioResult): Finding[] {
  const ofStops = outcome?.stops.flatMap(({ label, findings }) =>
    findings.map((finding) => ({ ...finding, path: `${label}: ${finding.path}` }))
  );
  return [...outcome?.findings ?? [], ...ofStops ?? []];
}

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
export function failureLines(result: ScenarioResult): string[] {
  const findings = findingsOf(result);
  const splats = result.splats.filter(({ allowed }) => !allowed);
  const more = (count: number, shown: number, what: string): string[] =>
    count > shown ? [`... and ${count - shown} more ${what}`] : [];
  return [
    ...findings.slice(0, MAX_FINDINGS).map(findingText),
    ...more(findings.length, MAX_FINDINGS, "findings"),
    ...result.reason?.split("\n") ?? [],
    ...splats.slice(0, MAX_SPLATS).flatMap(splatText),
    ...more(splats.length, MAX_SPLATS, "splats"),
    ...result.reruns ? [rerunText(result.reruns, splats.length > 0)] : [],
  ];
}

/** What the runs alone gave; with a splat, whether it was the same one. */
function rerunText({ runs, failed, sameSplat }: Reruns, hadSplat: boolean): string {
  const again = failed > 0 ? "again" : "not again";
  const same = hadSplat && failed > 0 ? `, ${sameSplat} of them with the same splat` : "";
  return `run alone in a fresh guest it failed ${again}: reproduced ${failed} of ${runs}${same}`;
}
