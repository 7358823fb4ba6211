// SPDX-License-Identifier: MIT

/** A view of the same bytes. */
export function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Bytes one after the other, copied. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The little-endian words of 4 or 8 bytes that bytes hold, wherever they lie. */
export function wordsOf(bytes: Uint8Array, size: 4 | 8): BigUint64Array {
  const { buffer } = bytes.slice(0, bytes.length - bytes.length % size);
  return size === 8 ? new BigUint64Array(buffer) : BigUint64Array.from(new Uint32Array(buffer), BigInt);
}

/** A little-endian integer. */
export function numberAt(bytes: Uint8Array, { offset, size }: { offset: number; size: number }): bigint {
  return bytes.subarray(offset, offset + size).reduceRight((sum, byte) => sum << 8n | BigInt(byte), 0n);
}

/** @throws {RangeError} when a field is no whole number from 0 to its limit */
export function requireWithin(what: string, fields: object, limits: Readonly<Record<string, number>>): void {
  for (const [name, limit] of Object.entries(limits)) {
    const value = (fields as Readonly<Record<string, number>>)[name]!;
    if (Number.isInteger(value) && value >= 0 && value <= limit) continue;
    throw new RangeError(`${what} ${name}: expected an integer from 0 to ${limit}, found ${value}`);
  }
}

/** A number in hexadecimal. */
export function hex(value: number | bigint, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** The bytes of hexadecimal pairs. Not Uint8Array.fromHex(): not every browser has it yet. */
export function bytesOfHex(pairs: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(pairs.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Bytes as hexadecimal pairs. */
export function hexBytes(bytes: Uint8Array, separator = " "): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(separator);
}

/** Bytes that are compared at a time, as words: that is four times as fast as byte by byte. */
const BLOCK = 4096;

/** The whole words from one offset up to another; a copy where they are not aligned. */
function wholeWords(bytes: Uint8Array, start: number, end: number): Uint32Array {
  const aligned = (bytes.byteOffset + start) % 4 === 0 ? bytes.subarray(start, end) : bytes.slice(start, end);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, (end - start) >> 2);
}

/** Index of the first byte that differs (or that one side lacks), -1 when equal. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += BLOCK) {
    const end = Math.min(at + BLOCK, length);
    const [left, right] = [wholeWords(a, at, end), wholeWords(b, at, end)];
    let word = 0;
    while (word < left.length && left[word] === right[word]) word++;
    for (let i = at + 4 * word; i < end; i++) if (a[i] !== b[i]) return i;
  }
  return a.length === b.length ? -1 : length;
}
