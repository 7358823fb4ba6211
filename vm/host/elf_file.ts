// SPDX-License-Identifier: MIT

import { ExpectedError } from "./errors.ts";

/** What the dynamic linker would want to know of an ELF file. */
export interface ElfFile {
  bits: 32 | 64;
  /** e_machine: 3 is i386, 62 is x86-64. */
  machine: number;
  /** e_type: 2 is a program at a fixed address, 3 a shared object or position-independent program. */
  type: number;
  interpreter?: string;
  /** Names of the needed libraries (DT_NEEDED), in order. */
  needed: string[];
  /** Directories of DT_RPATH and DT_RUNPATH, tokens such as $ORIGIN not replaced. */
  rpath: string[];
  runpath: string[];
  /** Where it starts. */
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
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;
const DT_RPATH = 15n;
const DT_RUNPATH = 29n;

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
 * Reads the program headers and the dynamic section of an ELF file (gabi 4.1; little-endian only).
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
      needed: [],
      rpath: [],
      runpath: [],
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
    const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
    if (dynamic !== undefined) this.#readDynamic(file, dynamic, segments);
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

  #readDynamic(file: ElfFile, dynamic: Segment, segments: Segment[]): void {
    const wordSize = this.#is64 ? 8 : 4;
    const entries: [bigint, bigint][] = [];
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 2 * wordSize) {
      const tag = this.#word(at);
      if (tag === 0n) break;
      entries.push([tag, this.#word(at + wordSize)]);
    }
    const tableAddress = entries.find(([tag]) => tag === DT_STRTAB)?.[1] ?? 0n;
    const table = fileOffset(tableAddress, segments);
    const strings = (wanted: bigint) =>
      entries.filter(([tag]) => tag === wanted).map(([, value]) => this.#string(table + Number(value)));
    file.needed = strings(DT_NEEDED);
    file.rpath = strings(DT_RPATH).flatMap((list) => list.split(":"));
    file.runpath = strings(DT_RUNPATH).flatMap((list) => list.split(":"));
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

function fileOffset(address: bigint, segments: Segment[]): number {
  const home = segments.find((s) =>
    s.type === PT_LOAD && s.address <= address && address < s.address + BigInt(s.size)
  );
  if (home === undefined) throw new RangeError("string table outside of all segments");
  return home.offset + Number(address - home.address);
}
