// SPDX-License-Identifier: MIT

import type { ScenarioResult } from "../run/scenario_result.ts";
import type { Splat } from "./splat.ts";
import { type AllowedSplat, nameOf } from "./splat_allowlist.ts";

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
