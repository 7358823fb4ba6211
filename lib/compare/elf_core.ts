// SPDX-License-Identifier: MIT

/** A piece of a process's memory in a core file. */
export interface CoreSegment {
  /** First address. */
  readonly start: bigint;
  /** First address after it. */
  readonly end: bigint;
  /**
   * The bytes that the file holds, from `start` on: a view. Shorter than the segment where the file leaves them out.
   */
  readonly bytes: Uint8Array;
}

/** What of an ELF core file is compared. */
export interface ElfCore {
  readonly bits: 32 | 64;
  /** e_machine: 3 is i386, 62 is x86-64. */
  readonly machine: number;
  /** The PT_LOAD segments, ascending. */
  readonly segments: readonly CoreSegment[];
}

/** A file that is no ELF core file, or not a whole one. */
export class ElfCoreError extends SyntaxError {
  override name = "ElfCoreError";
}

const ET_CORE = 4;
const PT_LOAD = 1;
/** e_phnum when the number stands elsewhere. */
const PN_XNUM = 0xffff;
const HEADER = { 32: 52, 64: 64 } as const;
const PROGRAM_HEADER = { 32: 32, 64: 56 } as const;

/**
 * Reads the program headers of a core file (System V gABI, chapters 4 and 5; little-endian).
 *
 * @throws {ElfCoreError} naming the offset, what was expected and what was found
 */
export function parseElfCore(bytes: Uint8Array): ElfCore {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER[32] || view.getUint32(0, false) !== 0x7f454c46) {
    throw new ElfCoreError(
      `core file: expected an ELF header at offset 0, found ${bytes.length} other bytes`,
    );
  }
  const bits = bytes[4] === 2 ? 64 : 32;
  if (bytes.length < HEADER[bits]) {
    throw new ElfCoreError(`core file: expected a header of ${HEADER[bits]} bytes, found ${bytes.length}`);
  }
  const type = view.getUint16(16, true);
  if (bytes[5] !== 1 || type !== ET_CORE) {
    throw new ElfCoreError(`core file: expected a little-endian file of type ${ET_CORE}, found type ${type}`);
  }
  const at = bits === 64 ? Number(view.getBigUint64(32, true)) : view.getUint32(28, true);
  const [sizeAt, countAt] = bits === 64 ? [54, 56] : [42, 44];
  const size = view.getUint16(sizeAt, true);
  const count = view.getUint16(countAt, true);
  if (count === PN_XNUM || size < PROGRAM_HEADER[bits] || at + count * size > bytes.length) {
    throw new ElfCoreError(
      `core file: ${count} program headers of ${size} bytes at offset ${at} do not lie in its ` +
        `${bytes.length} bytes`,
    );
  }
  const segments: CoreSegment[] = [];
  for (let i = 0; i < count; i++) {
    const segment = loadSegment(bytes, at + i * size, bits);
    if (segment) segments.push(segment);
  }
  segments.sort((a, b) => (a.start < b.start ? -1 : 1));
  return { bits, machine: view.getUint16(18, true), segments };
}

function loadSegment(bytes: Uint8Array, at: number, bits: 32 | 64): CoreSegment | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, PROGRAM_HEADER[bits]);
  if (view.getUint32(0, true) !== PT_LOAD) return undefined;
  const word = (wide: number, narrow: number): bigint =>
    bits === 64 ? view.getBigUint64(wide, true) : BigInt(view.getUint32(narrow, true));
  const offset = Number(word(8, 4));
  const start = word(16, 8);
  const fileSize = Number(word(32, 16));
  const memorySize = word(40, 20);
  if (offset + fileSize > bytes.length || BigInt(fileSize) > memorySize) {
    throw new ElfCoreError(
      `core file: segment at 0x${
        start.toString(16)
      }: expected its ${fileSize} bytes at offset ${offset} to lie in ` +
        `the file and in ${memorySize} bytes of memory, found a file of ${bytes.length} bytes`,
    );
  }
  return { start, end: start + memorySize, bytes: bytes.subarray(offset, offset + fileSize) };
}
