// SPDX-License-Identifier: MIT

import { statfsSync } from "node:fs";
import { dirname } from "@std/path";
import type { PhysicalMemory } from "../../lib/x86/page_tables.ts";
import { DEFAULT_MEMORY_MIB } from "./qemu_arguments.ts";

/** Where the address space has a hole for devices, and addresses are no longer offsets in the file (`pc` of QEMU). */
const MAX_SIZE = 2 ** 31;
/** A guest that finds its disk full ends, so that others must have room as well. */
const ROOM_LEFT = 2 ** 30;
const PIECE = 256 << 10;

/** The memory of a guest, which lies in a file that QEMU shares. */
export class GuestMemory implements PhysicalMemory, Disposable {
  readonly size: number;
  readonly #file: Deno.FsFile;
  readonly #piece = new Uint8Array(PIECE);

  constructor(file: Deno.FsFile, size: number) {
    this.#file = file;
    this.size = size;
  }

  /**
   * Makes the file, for QEMU to open; nobody else may.
   *
   * @returns undefined where the guest has more memory than can be read, or the disk no room for it
   */
  static create(path: string, memoryMiB = DEFAULT_MEMORY_MIB): GuestMemory | undefined {
    const size = memoryMiB * 2 ** 20;
    const { bavail, bsize } = statfsSync(dirname(path));
    if (size > MAX_SIZE || bavail * bsize < size + ROOM_LEFT) return undefined;
    const file = Deno.openSync(path, { createNew: true, read: true, write: true, mode: 0o600 });
    file.truncateSync(size);
    return new GuestMemory(file, size);
  }

  /** As {@linkcode PhysicalMemory.pieces}. */
  *pieces(near: readonly number[]): Generator<{ address: number; words: Uint32Array }> {
    const all = Array.from({ length: Math.ceil(this.size / PIECE) }, (_, i) => i * PIECE);
    const distances = new Map(all.map((at) => [at, Math.min(...near.map((to) => Math.abs(at - to)))]));
    for (const address of all.sort((a, b) => distances.get(a)! - distances.get(b)!)) {
      const bytes = this.#piece.subarray(0, Math.min(PIECE, this.size - address));
      this.read(address, bytes);
      yield { address, words: new Uint32Array(bytes.buffer, 0, bytes.length / 4) };
    }
  }

  /** As {@linkcode PhysicalMemory.read}. @throws {RangeError} when they do not */
  read(address: number, bytes: Uint8Array): void {
    this.#file.seekSync(address, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) {
      const got = this.#file.readSync(bytes.subarray(at));
      if (got === null) {
        throw new RangeError(`no ${bytes.length} bytes at address ${address} of a guest's memory`);
      }
      at += got;
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
