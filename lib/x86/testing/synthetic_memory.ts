// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import type { PagingMode, PhysicalMemory } from "../page_tables.ts";

/** What the processor takes for a present, writable page or table of user space. */
export const USER_ENTRY = 0x67n;

/** Memory of a machine that does not exist, in which tests write page tables. */
export class SyntheticMemory implements PhysicalMemory {
  readonly size: number;
  readonly bytes: Uint8Array<ArrayBuffer>;

  constructor(frames: number) {
    this.size = frames * PAGE_SIZE;
    this.bytes = new Uint8Array(this.size);
  }

  /** As {@linkcode PhysicalMemory.read}. @throws {RangeError} where they are not all in the memory */
  read(address: number, bytes: Uint8Array): void {
    if (address + bytes.length > this.size) throw new RangeError(`address ${address} of ${this.size}`);
    bytes.set(this.bytes.subarray(address, address + bytes.length));
  }

  /** The memory in pieces of two pages. */
  *pieces(): Generator<{ address: number; words: Uint32Array }> {
    for (let address = 0; address < this.size; address += 2 * PAGE_SIZE) {
      const length = Math.min(2 * PAGE_SIZE, this.size - address);
      yield { address, words: new Uint32Array(this.bytes.slice(address, address + length).buffer) };
    }
  }

  /** Writes the entry of a table. */
  setEntry(mode: PagingMode, place: { table: number; index: number }, value: bigint): void {
    const view = new DataView(this.bytes.buffer);
    const at = place.table + place.index * mode.entryWords * 4;
    if (mode.entryWords === 2) view.setBigUint64(at, BigInt.asUintN(64, value), true);
    else view.setUint32(at, Number(value), true);
  }

  /**
   * Writes the entries that lead to a page.
   *
   * @param tables addresses of tables, the root first; as many as the page needs
   * @param value of the last of them
   */
  map(
    mode: PagingMode,
    { page, tables, value }: { page: number; tables: readonly number[]; value: bigint },
  ): void {
    tables.forEach((table, depth) => {
      const { entries, span } = mode.levels[mode.levels.length - 1 - depth]!;
      const next = tables[depth + 1];
      // PAE's root has no bits for what may be done.
      const flags = entries === 4 ? 1n : USER_ENTRY;
      const entry = next === undefined ? value : BigInt(next) | flags;
      this.setEntry(mode, { table, index: Math.floor(page / span) % entries }, entry);
    });
  }
}
