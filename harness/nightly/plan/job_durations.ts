// SPDX-License-Identifier: MIT

import { basename, dirname } from "@std/path";
import { UsageError } from "../../../vm/host/errors.ts";
import { medianOf } from "../history/compare_history.ts";
import type { History } from "../history/history.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";
import { RunDirectory } from "../run/run_directory.ts";

/** The file of {@linkcode writeDurations}. */
export const DURATIONS_FILE = "durations.json";
/** Raised when what a durations.json says changes its meaning. */
const DURATIONS_SCHEMA = 1;
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
 * Seconds by name of job, of a `nightly.json` or of what {@linkcode writeDurations} wrote.
 *
 * @throws {UsageError} when the file is neither
 */
export async function readDurations(path: string | undefined): Promise<Map<string, number> | undefined> {
  if (path === undefined) return undefined;
  if (basename(path) === DURATIONS_FILE) return await readDurationsFile(path);
  const result = await new RunDirectory(dirname(path)).readResult();
  if (basename(path) !== "nightly.json" || !result) {
    throw new UsageError(
      `option --durations takes the nightly.json of a nightly run or a ${DURATIONS_FILE}: found "${path}"`,
    );
  }
  return new Map(
    result.jobs.filter(({ seconds }) => seconds > 0).map(({ name, seconds }) => [name, seconds]),
  );
}

/**
 * Keeps durations for shards that are to be cut by the same ones.
 *
 * @param durations seconds by name of job
 * @throws {UsageError} when the file cannot be written
 */
export async function writeDurations(path: string, durations: ReadonlyMap<string, number>): Promise<void> {
  const file = { schema: DURATIONS_SCHEMA, seconds: Object.fromEntries(durations) };
  await writeWhole(path, new TextEncoder().encode(`${JSON.stringify(file, null, 2)}\n`));
}

async function readDurationsFile(path: string): Promise<Map<string, number>> {
  const expected = `expected {"schema": ${DURATIONS_SCHEMA}, "seconds": {JOB: NUMBER}}`;
  try {
    const { schema, seconds } = JSON.parse(await Deno.readTextFile(path)) ?? {};
    const entries = Object.entries((seconds ?? undefined) as Record<string, unknown>);
    if (schema !== DURATIONS_SCHEMA) throw new UsageError(`found schema ${schema}`);
    const wrong = entries.find(([, value]) => typeof value !== "number" || !(value > 0));
    if (wrong) throw new UsageError(`found ${wrong[0]}: ${JSON.stringify(wrong[1])}`);
    return new Map(entries as [string, number][]);
  } catch (error) {
    throw new UsageError(`option --durations: ${path}: ${expected}: ${(error as Error).message}`);
  }
}
