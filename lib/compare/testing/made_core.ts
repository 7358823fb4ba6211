// SPDX-License-Identifier: MIT

/** A segment of a made core file. */
interface MadeSegment {
  readonly start: bigint;
  readonly bytes: Uint8Array;
  /** Bytes of memory; those of the file when left out. */
  readonly memory?: number;
  /** PT_LOAD when left out. */
  readonly type?: number;
}

/** An ELF core file for tests: headers, program headers, then the segments' bytes. */
export function madeCore(segments: readonly MadeSegment[], bits: 32 | 64 = 64): Uint8Array<ArrayBuffer> {
  const [headerSize, entrySize] = bits === 64 ? [64, 56] : [52, 32];
  const contents = segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const file = new Uint8Array(headerSize + segments.length * entrySize + contents);
  const view = new DataView(file.buffer);
  const word = (at: number, value: bigint): void =>
    bits === 64 ? view.setBigUint64(at, value, true) : view.setUint32(at, Number(value), true);
  file.set([0x7f, 0x45, 0x4c, 0x46, bits / 32, 1, 1]);
  view.setUint16(16, 4, true);
  view.setUint16(18, bits === 64 ? 62 : 3, true);
  word(bits === 64 ? 32 : 28, BigInt(headerSize));
  view.setUint16(bits === 64 ? 54 : 42, entrySize, true);
  view.setUint16(bits === 64 ? 56 : 44, segments.length, true);
  let offset = headerSize + segments.length * entrySize;
  segments.forEach(({ start, bytes, memory = bytes.length, type = 1 }, i) => {
    const at = headerSize + i * entrySize;
    view.setUint32(at, type, true);
    const [offsetAt, addressAt, fileAt, memoryAt] = bits === 64 ? [8, 16, 32, 40] : [4, 8, 16, 20];
    word(at + offsetAt, BigInt(offset));
    word(at + addressAt, start);
    word(at + fileAt, BigInt(bytes.length));
    word(at + memoryAt, BigInt(memory));
    file.set(bytes, offset);
    offset += bytes.length;
  });
  return file;
}
