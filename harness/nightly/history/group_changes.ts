// SPDX-License-Identifier: MIT

import type { NightlyChange } from "../nightly_result.ts";

/** Changes of one job that say the same: one thing happened, and many scenarios show it. */
interface ChangeGroup {
  readonly change: NightlyChange;
  /** Names of all scenarios; empty when the job as a whole is meant. */
  readonly scenarios: readonly string[];
}

/** Takes together what differs in the scenario alone. The order is that of the first of each group. */
export function groupChanges(changes: readonly NightlyChange[]): ChangeGroup[] {
  const groups = new Map<string, { change: NightlyChange; scenarios: string[] }>();
  for (const change of changes) {
    const { kind, job, text, since, lastGood, scenario } = change;
    const key = JSON.stringify([kind, job, text, since?.id, lastGood?.id, scenario === undefined]);
    const group = groups.get(key) ?? { change, scenarios: [] };
    groups.set(key, group);
    if (scenario !== undefined) group.scenarios.push(scenario);
  }
  return [...groups.values()];
}

/** Names in a line, the last of many left out. */
export function someNames(names: readonly string[], shown: number): string {
  const more = names.length - shown;
  return names.slice(0, shown).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** A time as `2026-11-24 01:00`, in UTC as it is recorded. */
export function shortTime(iso: string): string {
  return iso.slice(0, 16).replace("T", " ");
}
