// SPDX-License-Identifier: MIT

/** A line of the agent's, or a command: its first word, and its key=value words with the values decoded. */
export interface ProtocolLine {
  readonly word: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** The longest line that either side may send, its LF included, in bytes. */
export const MAX_LINE_BYTES = 4096;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Percent-encodes what must not stand in a value: bytes outside of 0x21 to 0x7e, and "%". */
export function escapeValue(value: string): string {
  let escaped = "";
  for (const byte of encoder.encode(value)) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x25;
    escaped += plain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`;
  }
  return escaped;
}

/**
 * Undoes {@linkcode escapeValue}. Bytes that are no UTF-8 become U+FFFD.
 *
 * @throws {SyntaxError} on a bad
 * sequence.
 */
export function unescapeValue(value: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < value.length; at++) {
    if (value[at] !== "%") {
      bytes.push(value.charCodeAt(at) & 0xff);
      continue;
    }
    const digits = value.slice(at + 1, at + 3);
    if (!/^[0-9a-fA-F]{2}$/.test(digits)) {
      throw new SyntaxError(`expected two hexadecimal digits after %, found ${JSON.stringify(digits)}`);
    }
    bytes.push(parseInt(digits, 16));
    at += 2;
  }
  return decoder.decode(Uint8Array.from(bytes));
}

/** A value of a command. `undefined` leaves the word out. */
export type FieldValue = string | number | bigint | undefined;

/**
 * Writes a command without its LF. A key may come more than once.
 *
 * @throws {RangeError} when the line would be longer than {@linkcode MAX_LINE_BYTES}.
 */
export function formatCommand(word: string, fields: readonly (readonly [string, FieldValue])[]): string {
  const words = [word];
  for (const [key, value] of fields) {
    if (value !== undefined) words.push(`${key}=${escapeValue(String(value))}`);
  }
  const line = words.join(" ");
  if (line.length >= MAX_LINE_BYTES) {
    throw new RangeError(
      `command ${word}: expected at most ${MAX_LINE_BYTES - 1} bytes, found ${line.length}`,
    );
  }
  return line;
}

/**
 * Takes a line apart.
 *
 * @throws {SyntaxError} when it is none.
 */
export function parseLine(line: string): ProtocolLine {
  const [word = "", ...rest] = line.split(" ");
  if (!/^[a-z]+$/.test(word)) {
    throw new SyntaxError(`expected a word at the start of ${JSON.stringify(line)}`);
  }
  const fields = new Map<string, string>();
  for (const field of rest) {
    const equals = field.indexOf("=");
    if (equals <= 0) throw new SyntaxError(`expected key=value, found ${JSON.stringify(field)}`);
    fields.set(field.slice(0, equals), unescapeValue(field.slice(equals + 1)));
  }
  return { word, fields };
}

/**
 * A text field that must be there.
 *
 * @throws {SyntaxError} when it is not.
 */
export function textField({ word, fields }: ProtocolLine, key: string): string {
  const value = fields.get(key);
  if (value === undefined) throw new SyntaxError(`expected ${key}= in the line "${word} ..."`);
  return value;
}

/**
 * A number field that must be there, decimal or 0x.
 *
 * @throws {SyntaxError} when it is not.
 */
export function bigintField(line: ProtocolLine, key: string): bigint {
  const value = textField(line, key);
  if (!/^(?:-?\d+|0x[0-9a-fA-F]+)$/.test(value)) {
    throw new SyntaxError(`expected a number in ${key}=, found ${JSON.stringify(value)}`);
  }
  return BigInt(value);
}

/**
 * A number field that must be there and fit a number exactly.
 *
 * @throws {SyntaxError} when it does not.
 */
export function numberField(line: ProtocolLine, key: string): number {
  const value = Number(bigintField(line, key));
  if (!Number.isSafeInteger(value)) {
    throw new SyntaxError(`expected a smaller number in ${key}=, found ${value}`);
  }
  return value;
}

/**
 * A number field, or undefined when it is not there.
 *
 * @throws {SyntaxError} when it is no number.
 */
export function optionalNumberField(line: ProtocolLine, key: string): number | undefined {
  return line.fields.has(key) ? numberField(line, key) : undefined;
}
