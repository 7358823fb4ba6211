// SPDX-License-Identifier: MIT

import { prunableEntries, type PrunablePlaces } from "./prunable_entries.ts";

/** What {@linkcode pruneOld} takes. */
export interface PruneOptions extends PrunablePlaces {
  readonly keepDays: number;
  /** For all that can be pruned, together. */
  readonly keepBytes: number;
  /** Directories that stay. */
  readonly spare?: readonly string[];
}

/** What was removed. */
export interface Pruned {
  readonly entries: number;
  readonly bytes: number;
}

const DAY_MS = 86_400_000;

/**
 * Removes runs, logs, kernels, trees and whatever else was not used for so many days, and then the oldest
 * until the rest fits. What was used within a day stays whatever its size, and so does what is in use.
 */
export async function pruneOld(options: PruneOptions): Promise<Pruned> {
  const { keepDays, keepBytes, spare = [] } = options;
  const all = await prunableEntries(options);
  const now = Date.now();
  const entries = all.filter(({ path, used }) => !spare.includes(path) && now - used > DAY_MS)
    .sort((a, b) => a.used - b.used);
  let excess = all.reduce((sum, { bytes }) => sum + bytes, 0) - keepBytes;
  const removed = { entries: 0, bytes: 0 };
  for (const { used, bytes, remove } of entries) {
    if (now - used <= keepDays * DAY_MS && excess <= 0) continue;
    // Not ours to remove, or gone meanwhile: the next nightly run tries again.
    if (!await remove().catch(() => false)) continue;
    excess -= bytes;
    removed.entries++;
    removed.bytes += bytes;
  }
  return removed;
}
