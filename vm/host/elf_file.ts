// SPDX-License-Identifier: MIT

import { dataView } from "../../lib/bytes.ts";
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
    return parseElf(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ExpectedError(`${name}: the ELF file is cut short or damaged`, { cause: error });
  }
}

function parseElf(bytes: Uint8Array): ElfFile {
  const view = dataView(bytes);
  const is64 = bytes[4] === 2;
  const half = (at: number): number => view.getUint16(at, true);
  const word = (at: number): bigint => is64 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
  const tableAt = Number(word(is64 ? 32 : 28));
  const [entrySize, count] = [half(is64 ? 54 : 42), half(is64 ? 56 : 44)];
  if (count === PN_XNUM || (count > 0 && entrySize < (is64 ? 56 : 32))) {
    throw new RangeError(`${count} program headers of ${entrySize} bytes`);
  }
  const segments = Array.from({ length: count }, (_, index) => {
    const at = tableAt + index * entrySize;
    const type = view.getUint32(at, true);
    const flags = view.getUint32(at + (is64 ? 4 : 24), true);
    const offset = Number(word(at + (is64 ? 8 : 4)));
    const address = word(at + (is64 ? 16 : 8));
    const size = Number(word(at + (is64 ? 32 : 16)));
    // The first address after its zero-filled end.
    const end = address + word(at + (is64 ? 40 : 20));
    if (type === PT_LOAD && (offset + size > bytes.length || address + BigInt(size) > end)) {
      throw new RangeError(`${size} bytes at offset ${offset} for ${end - address} bytes of memory`);
    }
    const isExecutable = (flags & PF_X) !== 0;
    return { type, end, address, isExecutable, offset, bytes: bytes.subarray(offset, offset + size) };
  });
  const loaded = segments.filter(({ type }) => type === PT_LOAD);
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  return {
    ...{ bits: is64 ? 64 : 32, machine: half(18), type: half(16), entry: word(24), loaded },
    loadEnd: loaded.reduce((most, { end }) => end > most ? end : most, 0n),
    ...interpreter && { interpreter: textAt(bytes, interpreter.offset) },
  };
}

function textAt(bytes: Uint8Array, at: number): string {
  const end = bytes.indexOf(0, at);
  if (at >= bytes.length || end < 0) throw new RangeError("string outside of the file");
  return new TextDecoder().decode(bytes.subarray(at, end));
}
