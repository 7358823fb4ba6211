// SPDX-License-Identifier: MIT
import { PAGE_SIZE_BIG, pagesPerChunk, type WordSize } from "../abi/arch.ts";
import type { Dialect } from "../abi/dialect.ts";
import { dataView } from "./struct_codec.ts";

/** What is known of the VMA whose chunks are being read. */
export interface ChunkState {
  /** First address of the VMA, and the first after it; both 0 when there is no sane VMA record. */
  readonly start: bigint;
  /** The first address after the VMA. */
  readonly end: bigint;
  /** `nr_pages` of the chunk before, 0 for the first one. */
  previous: bigint;
  /** Pages of the VMA that were read so far. */
  emitted: bigint;
  /** Address of the last page that was read, -1 for none. */
  lastAddress: bigint;
}

/** One way to read `nr_pages`. */
export interface ChunkReading {
  /** Pages that follow. */
  readonly count: number;
  /** Pages of this chunk, or of the VMA up to and with it. */
  readonly counted: "absolute" | "cumulative";
}

/** The state before the first chunk of a VMA. */
export function newChunks(start: bigint, end: bigint): ChunkState {
  return { start, end, previous: 0n, emitted: 0n, lastAddress: -1n };
}

/** The most pages that a decoder accepts in one chunk: twice a full one, which keeps its memory bounded. */
export function chunkLimit(wordSize: WordSize): number {
  return 2 * pagesPerChunk(wordSize);
}

/** Pages of the VMA, or undefined when its bounds make no sense. */
function vmaPageCount(state: ChunkState): bigint | undefined {
  return state.end > state.start ? (state.end - state.start + PAGE_SIZE_BIG - 1n) / PAGE_SIZE_BIG : undefined;
}

/**
 * The ways in which `nr_pages` can be read that fit into the VMA and below the limit, the dialect's own one
 * first. As posted, v11 counts on from chunk to chunk (`cnt` is never reset), so that the pages of a chunk
 * are the difference to the header before.
 */
export function chunkReadings(
  nrPages: bigint,
  state: ChunkState,
  format: { readonly dialect: Dialect; readonly wordSize: WordSize },
): ChunkReading[] {
  const limit = BigInt(chunkLimit(format.wordSize));
  const total = vmaPageCount(state);
  const room = total === undefined ? limit : total - state.emitted;
  const fits = (count: bigint): boolean => count >= 0n && count <= limit && count <= room;
  const absolute: ChunkReading = { count: Number(nrPages), counted: "absolute" };
  if (state.previous === 0n) return fits(nrPages) ? [absolute] : [];
  const difference = nrPages - state.previous;
  const cumulative: ChunkReading = { count: Number(difference), counted: "cumulative" };
  const both = format.dialect === "v11" ? [cumulative, absolute] : [absolute, cumulative];
  return both.filter((reading) => fits(reading === absolute ? nrPages : difference));
}

/**
 * Whether the next bytes can be the addresses of such a chunk: aligned, ascending, inside the VMA. A chunk
 * of no pages is plausible when what follows is no address at all.
 *
 * @param ahead the bytes after the PGARR record, as many as there are
 */
export function isPlausible(
  reading: ChunkReading,
  ahead: Uint8Array,
  state: ChunkState,
  wordSize: WordSize,
): boolean {
  const view = dataView(ahead);
  const count = Math.min(Math.max(reading.count, 1), Math.floor(ahead.length / wordSize));
  let last = state.lastAddress;
  let good = count > 0;
  for (let i = 0; good && i < count; i++) {
    const address = wordSize === 8 ? view.getBigUint64(8 * i, true) : BigInt(view.getUint32(4 * i, true));
    good = (address & 0xfffn) === 0n && address > last && (state.end === 0n || address < state.end);
    last = address;
  }
  return good === (reading.count > 0);
}

/** What is wrong with an `nr_pages` that can be read in no way. */
export function tooManyPages(
  nrPages: bigint,
  state: ChunkState,
  wordSize: WordSize,
): { readonly id: "E_CHUNK_COUNT" | "E_CHUNK_SIZE"; readonly what: string; readonly expected: string } {
  const total = vmaPageCount(state);
  const room = total === undefined ? nrPages : total - state.emitted;
  if (nrPages <= room) {
    return { id: "E_CHUNK_SIZE", what: "chunk too large", expected: `at most ${chunkLimit(wordSize)}` };
  }
  const expected = `at most ${room} (of the ${total} pages of the VMA)`;
  return { id: "E_CHUNK_COUNT", what: "more pages than the VMA has left", expected };
}
