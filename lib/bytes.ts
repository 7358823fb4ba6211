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
