// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { basename, dirname } from "@std/path";
import { object, record } from "../../../lib/schema.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { medianOf } from "../../run/quantity.ts";
import type { History } from "../history/history.ts";
import { readVersioned } from "../../../vm/host/versioned_json.ts";
import { writeJson } from "../../../vm/host/write_whole.ts";
import { RunDirectory } from "../run/run_directory.ts";

/** The file of {@linkcode writeDurations}. */
export const DURATIONS_FILE = "durations.json";
/** Raised when what a durations.json says changes its meaning. */
const DURATIONS_SCHEMA = 1;
const DURATIONS = object({
  schema: v.literal(DURATIONS_SCHEMA),
  seconds: record(v.string(), v.pipe(v.number("a number above 0"), v.gtValue(0, "a number above 0"))),
});
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

/** How long a job will take: as long as before, or as the middle of those that ran; undefined where none did. */
export function expectedSeconds(name: string, durations: ReadonlyMap<string, number>): number | undefined {
  return durations.get(name) ?? medianOf([...durations.values()]);
}

/**
 * Seconds by name of job, of a `nightly.json` or of what {@linkcode writeDurations} wrote.
 *
 * @throws {UsageError} when the file is neither
 */
export async function readDurations(path: string | undefined): Promise<Map<string, number> | undefined> {
  if (path === undefined) return undefined;
  const name = basename(path);
  if (name === DURATIONS_FILE) {
    const file = await readVersioned(path, { schema: DURATIONS, version: DURATIONS_SCHEMA });
    if (file) return new Map(Object.entries(file.seconds));
  }
  const result = name === "nightly.json" ? await new RunDirectory(dirname(path)).readResult() : undefined;
  if (result) {
    return new Map(result.jobs.map(({ name, seconds }) => [name, seconds] as const).filter(([, s]) => s > 0));
  }
  throw new UsageError(
    `option --durations takes the nightly.json of a nightly run or a ${DURATIONS_FILE}: found "${path}"`,
  );
}

/**
 * Keeps durations for shards that are to be cut by the same ones.
 *
 * @param durations seconds by name of job
 * @throws {UsageError} when the file cannot be written
 */
export async function writeDurations(path: string, durations: ReadonlyMap<string, number>): Promise<void> {
  await writeJson(path, { schema: DURATIONS_SCHEMA, seconds: Object.fromEntries(durations) });
}

/** Which of how many parts. */
export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly of: number;
}

/** What a job is taken to last when nothing is known of any. */
const UNKNOWN_SECONDS = 300;

/** Reads `I/N`; undefined when it is none. */
export function parseShard(text: string): Shard | undefined {
  const [, index, of] = (/^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? []).map(Number);
  return index && of && index <= of ? { index, of } : undefined;
}

/**
 * Cuts jobs into shards of about the same duration: the longest first, each to the shard that has least. Every
 * job is in one shard; who cuts the same jobs by the same durations gets the same shards.
 *
 * @param durations seconds by name of job; a job without counts as the middle of the others
 * @returns the names of each shard
 */
export function shardJobs(
  names: readonly string[],
  durations: ReadonlyMap<string, number>,
  of: number,
): string[][] {
  const weighed = names.map((name) => ({
    name,
    seconds: expectedSeconds(name, durations) ?? UNKNOWN_SECONDS,
  }));
  weighed.sort((a, b) => b.seconds - a.seconds || (a.name < b.name ? -1 : 1));
  const shards = Array.from({ length: of }, () => ({ seconds: 0, names: [] as string[] }));
  for (const { name, seconds } of weighed) {
    const least = shards.reduce((best, shard) =>
      shard.seconds < best.seconds ||
        (shard.seconds === best.seconds && shard.names.length < best.names.length)
        ? shard
        : best
    );
    least.names.push(name);
    least.seconds += seconds;
  }
  return shards.map((shard) => shard.names);
}
