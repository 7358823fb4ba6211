// SPDX-License-Identifier: MIT

import type { Dialect } from "../abi/dialect.ts";

/** What the counts of a VMA's chunks depend on. */
interface ChunkCountOptions {
  readonly dialect: Dialect;
  /** Number of the first page after the VMA. */
  readonly end: number;
  /** Pages of a full chunk: four arrays of addresses. */
  readonly perChunk: number;
}

/**
 * `nr_pages` of the chunks of a VMA, the 0 that ends them left out. The port fills each chunk but the last.
 * The code as posted never resets its count: after a first full chunk each array of addresses is a chunk, and
 * clean pages at the end of the VMA give one more count with no pages.
 *
 * @param pages numbers of the pages, ascending
 */
export function chunkCounts(
  pages: readonly number[],
  { dialect, end, perChunk }: ChunkCountOptions,
): number[] {
  if (dialect === "port") {
    const chunks = Math.ceil(pages.length / perChunk);
    return Array.from({ length: chunks }, (_, i) => Math.min(perChunk, pages.length - i * perChunk));
  }
  const counts: number[] = [];
  let done = 0;
  for (let isOver = false; !isOver;) {
    const most = done < perChunk ? perChunk : perChunk / 4;
    const count = Math.min(most, pages.length - done);
    done += count;
    isOver = count < most || pages[done - 1] === end - 1;
    if (done > 0) counts.push(done);
  }
  return counts;
}
