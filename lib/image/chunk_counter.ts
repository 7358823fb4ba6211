// SPDX-License-Identifier: MIT
import { PAGE_SIZE_BIG, pagesPerChunk } from "../abi/arch.ts";
import type { ImageFormat } from "./dialect.ts";
import type { PagesNode } from "./nodes.ts";
import { dataView } from "../bytes.ts";

/** One way to read `nr_pages`. */
export type ChunkReading = Pick<PagesNode, "count" | "counted">;

/** What `nr_pages` can mean, chunk by chunk of a VMA. */
export class ChunkCounter {
  readonly #format: ImageFormat;
  /** Bounds of the VMA; both 0 when there is no sane VMA record. */
  readonly #start: bigint;
  readonly #end: bigint;
  /** `nr_pages` of the chunk before, 0 for the first one. */
  previous = 0n;
  #read = 0n;
  #lastAddress = -1n;

  /** `vma`: the fields of its record. */
  constructor(format: ImageFormat, vma = { vm_start: 0n, vm_end: 0n }) {
    this.#format = format;
    [this.#start, this.#end] = vma.vm_end > vma.vm_start ? [vma.vm_start, vma.vm_end] : [0n, 0n];
  }

  /** The most pages that are accepted in one chunk: twice a full one, which keeps the decoder's memory bounded. */
  get limit(): number {
    return 2 * pagesPerChunk(this.#format.wordSize);
  }

  /** Pages of the VMA, or undefined when its bounds make no sense. */
  get #total(): bigint | undefined {
    return this.#end === 0n ? undefined : (this.#end - this.#start + PAGE_SIZE_BIG - 1n) / PAGE_SIZE_BIG;
  }

  /** Takes a chunk that was read; one of `nr_pages` 0 ends them. */
  next(nrPages: bigint, vaddrs: BigUint64Array): void {
    const isEnd = nrPages === 0n;
    this.previous = nrPages;
    this.#read = isEnd ? 0n : this.#read + BigInt(vaddrs.length);
    this.#lastAddress = isEnd ? -1n : vaddrs.at(-1) ?? this.#lastAddress;
  }

  /**
   * The ways in which `nr_pages` can be read that fit into the VMA and below the limit, the dialect's own one
   * first. As posted, v11 counts on from chunk to chunk (`cnt` is never reset), so that the pages of a chunk
   * are the difference to the header before.
   */
  readings(nrPages: bigint): ChunkReading[] {
    const [limit, total] = [BigInt(this.limit), this.#total];
    const room = total === undefined ? limit : total - this.#read;
    const reading = (count: bigint, counted: ChunkReading["counted"]): ChunkReading[] =>
      count >= 0n && count <= limit && count <= room ? [{ count: Number(count), counted }] : [];
    const absolute = reading(nrPages, "absolute");
    if (this.previous === 0n) return absolute;
    const cumulative = reading(nrPages - this.previous, "cumulative");
    return this.#format.dialect === "v11" ? [...cumulative, ...absolute] : [...absolute, ...cumulative];
  }

  /**
   * Whether the next bytes can be the addresses of such a chunk: aligned, ascending, inside the VMA. A chunk
   * of no pages is plausible when what follows is no address at all.
   *
   * @param ahead the bytes after the PGARR record, as many as there are
   */
  isPlausible(reading: ChunkReading, ahead: Uint8Array): boolean {
    const { wordSize } = this.#format;
    const view = dataView(ahead);
    const count = Math.min(Math.max(reading.count, 1), Math.floor(ahead.length / wordSize));
    let last = this.#lastAddress;
    let good = count > 0;
    for (let i = 0; good && i < count; i++) {
      const address = wordSize === 8 ? view.getBigUint64(8 * i, true) : BigInt(view.getUint32(4 * i, true));
      good = (address & 0xfffn) === 0n && address > last && (this.#end === 0n || address < this.#end);
      last = address;
    }
    return good === (reading.count > 0);
  }

  /** What is wrong with an `nr_pages` that can be read in no way. */
  tooMany(nrPages: bigint): { id: "E_CHUNK_COUNT" | "E_CHUNK_SIZE"; message: string; expected: string } {
    const total = this.#total;
    const room = total === undefined ? nrPages : total - this.#read;
    if (nrPages <= room) {
      return { id: "E_CHUNK_SIZE", message: "chunk too large", expected: `at most ${this.limit}` };
    }
    const expected = `at most ${room} (of the ${total} pages of the VMA)`;
    return { id: "E_CHUNK_COUNT", message: "more pages than the VMA has left", expected };
  }
}
