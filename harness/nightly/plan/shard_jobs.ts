// SPDX-License-Identifier: MIT

import { expectedSeconds } from "./job_durations.ts";

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
