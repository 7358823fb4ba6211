// SPDX-License-Identifier: MIT

import { dirname } from "@std/path";
import { UsageError } from "../exit_status.ts";
import { medianOf } from "./compare_history.ts";
import type { History } from "./history.ts";
import { NightDirectory } from "./night_directory.ts";

/** Runs whose durations say how long the next one takes. */
const RUNS = 7;

/** Seconds that jobs took of late, by name; those that never ran are left out. */
export function recordedDurations(history: History, names: readonly string[]): Map<string, number> {
  const durations = new Map<string, number>();
  for (const name of names) {
    const times = history.jobHistory(name).filter(({ status, seconds }) =>
      status !== "missing" && seconds > 0
    );
    const median = medianOf(times.slice(-RUNS).map(({ seconds }) => seconds));
    if (median !== undefined) durations.set(name, median);
  }
  return durations;
}

/**
 * Seconds of the jobs of a `nightly.json`.
 *
 * @throws {UsageError} when there is none
 */
export async function readDurations(path: string | undefined): Promise<Map<string, number> | undefined> {
  if (path === undefined) return undefined;
  const result = await new NightDirectory(dirname(path)).readResult();
  if (!path.endsWith("nightly.json") || !result) {
    throw new UsageError(`option --durations takes the nightly.json of a night: found "${path}"`);
  }
  return new Map(
    result.jobs.filter(({ seconds }) => seconds > 0).map(({ name, seconds }) => [name, seconds]),
  );
}
