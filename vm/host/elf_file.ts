// SPDX-License-Identifier: MIT

import { ExpectedError } from "./errors.ts";

/** What is to be known of an ELF file before it runs. */
export interface ElfFile {
  bits: 32 | 64;
  /** e_machine: 3 is i386, 62 is x86-64. */
  machine: number;
  /** e_type: 2 is a program at a fixed address, 3 a shared object or position-independent program. */
  type: number;
  interpreter?: string;
  entry: bigint;
  /** First address after what is loaded, zero-filled memory included; 0 where nothing is. */
  loadEnd: bigint;
  /** What is loaded, in the order of the program headers. */
  loaded: readonly LoadedSegment[];
}

/** A segment that execve(2) maps. */
export interface LoadedSegment {
  readonly address: bigint;
  readonly isExecutable: boolean;
  /** Where its bytes lie in the file. */
  readonly offset: number;
  /** Its bytes in the file: a view. */
  readonly bytes: Uint8Array;
}

/** e_phnum when the number stands elsewhere. */
const PN_XNUM = 0xffff;
const PT_LOAD = 1;
const PF_X = 1;
const PT_INTERP = 3;

interface Segment {
  type: number;
  offset: number;
  address: bigint;
  size: number;
  flags: number;
  /** First address after its zero-filled end. */
  end: bigint;
}

/**
 * Reads the program headers of an ELF file (gabi 4.1; little-endian only).
 *
 * @param bytes the whole file.
 * @param name for errors.
 * @throws {ExpectedError} when it is no ELF file, of another byte order, or cut short.
 */
export function readElf(bytes: Uint8Array, name: string): ElfFile {
  if (bytes.length < 20 || bytes[0] !== 0x7f || String.fromCharCode(...bytes.subarray(1, 4)) !== "ELF") {
    throw new ExpectedError(`${name}: not an ELF file`);
  }
  if (bytes[5] !== 1) throw new ExpectedError(`${name}: expected a little-endian ELF file`);
  try {
    return new ElfReader(bytes).read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ExpectedError(`${name}: the ELF file is cut short or damaged`, { cause: error });
  }
}

class ElfReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #is64: boolean;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#is64 = bytes[4] === 2;
  }

  read(): ElfFile {
    const segments = this.#segments();
    const file: ElfFile = {
      bits: this.#is64 ? 64 : 32,
      machine: this.#view.getUint16(18, true),
      type: this.#view.getUint16(16, true),
      entry: this.#word(24),
      loadEnd: segments.reduce((end, s) => s.type === PT_LOAD && s.end > end ? s.end : end, 0n),
      loaded: segments.filter(({ type }) => type === PT_LOAD).map(({ address, offset, size, flags }) => ({
        address,
        isExecutable: (flags & PF_X) !== 0,
        offset,
        bytes: this.#bytes.subarray(offset, offset + size),
      })),
    };
    const interpreter = segments.find(({ type }) => type === PT_INTERP);
    if (interpreter !== undefined) file.interpreter = this.#string(interpreter.offset);
    return file;
  }

  #segments(): Segment[] {
    const tableAt = this.#is64 ? Number(this.#view.getBigUint64(32, true)) : this.#view.getUint32(28, true);
    const [entrySize, count] = [this.#u16(this.#is64 ? 54 : 42), this.#u16(this.#is64 ? 56 : 44)];
    if (count === PN_XNUM || (count > 0 && entrySize < (this.#is64 ? 56 : 32))) {
      throw new RangeError(`${count} program headers of ${entrySize} bytes`);
    }
    return Array.from({ length: count }, (_, index) => {
      const at = tableAt + index * entrySize;
      const segment = {
        type: this.#view.getUint32(at, true),
        offset: Number(this.#word(at + (this.#is64 ? 8 : 4))),
        address: this.#word(at + (this.#is64 ? 16 : 8)),
        size: Number(this.#word(at + (this.#is64 ? 32 : 16))),
        flags: this.#view.getUint32(at + (this.#is64 ? 4 : 24), true),
        end: this.#word(at + (this.#is64 ? 16 : 8)) + this.#word(at + (this.#is64 ? 40 : 20)),
      };
      const { type, offset, size, address, end } = segment;
      if (type === PT_LOAD && (offset + size > this.#bytes.length || address + BigInt(size) > end)) {
        throw new RangeError(`${size} bytes at offset ${offset} for ${end - address} bytes of memory`);
      }
      return segment;
    });
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  #word(at: number): bigint {
    return this.#is64 ? this.#view.getBigUint64(at, true) : BigInt(this.#view.getUint32(at, true));
  }

  #string(at: number): string {
    const end = this.#bytes.indexOf(0, at);
    if (at >= this.#bytes.length || end < 0) throw new RangeError("string outside of the file");
    return new TextDecoder().decode(this.#bytes.subarray(at, end));
  }
}
