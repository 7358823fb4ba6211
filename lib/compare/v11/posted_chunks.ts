// SPDX-License-Identifier: MIT

/** Addresses of one array, and of a full first chunk, on i386. */
const PER_ARRAY = 1024;
const PER_CHUNK = 4 * PER_ARRAY;

/** A chunk header of the code as posted. */
export interface PostedChunk {
  /** `nr_pages`. */
  readonly header: number;
  /** Pages that really follow. */
  readonly count: number;
}

/**
 * The chunks of a VMA as the code posted in 2008 writes them: the count of the header is never reset. After
 * a first full chunk each array of addresses is a chunk, and clean pages at the end of the VMA give one
 * more header with no pages. The header of 0 pages that ends each VMA is not among them.
 *
 * @param pages numbers of the pages, ascending
 * @param end number of the first page after the VMA
 */
export function postedChunks(pages: readonly number[], end: number): PostedChunk[] {
  const chunks: PostedChunk[] = [];
  let header = 0;
  let done = 0;
  let isOver = false;
  while (!isOver) {
    const most = header < PER_CHUNK ? PER_CHUNK : PER_ARRAY;
    const count = Math.min(most, pages.length - done);
    done += count;
    header += count;
    isOver = count < most || pages[done - 1] === end - 1;
    if (header > 0) chunks.push({ header, count });
  }
  return chunks;
}
