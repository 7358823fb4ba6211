// SPDX-License-Identifier: MIT

/** A line of the agent's, or a command: its first word, and its key=value words with the values decoded. */
export interface ProtocolLine {
  readonly word: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** The longest line that either side may send, its LF included, in bytes. */
export const MAX_LINE_BYTES = 4096;

/**
 * Undoes percent-encoding. Bytes that are no UTF-8 become U+FFFD.
 *
 * @throws {SyntaxError} on a bad sequence
 */
function unescapeValue(value: string): string {
  const bytes = value.replace(/%(..?)?/g, (_, digits = "") => {
    if (/^[0-9a-f]{2}$/i.test(digits)) return String.fromCharCode(parseInt(digits, 16));
    throw new SyntaxError(`expected two hexadecimal digits after %, found ${JSON.stringify(digits)}`);
  });
  return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
}

/** A value of a command. `undefined` leaves the word out; a negative number goes as it is in a register. */
type FieldValue = string | number | bigint | undefined;

/** The words of a command in their order; a key may come more than once. */
export type Fields = readonly (readonly [string, FieldValue])[];

/** The words for options: each has the option's name, as {@linkcode wireName} writes it. */
export function fieldsOf(options: Readonly<Record<string, FieldValue>>): Fields {
  return Object.entries(options).map(([key, value]) => [wireName(key), value]);
}

/** The name of an option on the wire, and of the field in the agent that holds it: `pauseAt` is `pause_at`. */
function wireName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * Writes a command without its LF.
 *
 * @throws {RangeError} when the line would be longer than {@linkcode MAX_LINE_BYTES}.
 */
export function formatCommand(word: string, fields: Fields): string {
  const words = [word];
  for (const [key, value] of fields) {
    if (value === undefined) continue;
    const unsigned = typeof value !== "string" && value < 0 ? BigInt.asUintN(64, BigInt(value)) : value;
    words.push(`${key}=${encodeURI(String(unsigned))}`);
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

interface FieldTypes {
  text: string;
  /** A number, decimal or 0x, that a `number` holds exactly. */
  number: number;
  /** Any number. */
  bigint: bigint;
  /** It is there, or not. */
  flag: true;
}

type FieldKind = keyof FieldTypes;
type Optional<S> = { [K in keyof S]: S[K] extends `${FieldKind}?` ? K : never }[keyof S];

/** The fields of an answer and what they hold; a kind with `?` may be missing. */
export type FieldSpec = Readonly<Record<string, FieldKind | `${FieldKind}?`>>;

/** What {@linkcode readFields} gives. */
export type FieldsOf<S extends FieldSpec> =
  & { readonly [K in Exclude<keyof S, Optional<S>>]: FieldTypes[S[K] & FieldKind] }
  & { readonly [K in Optional<S>]?: S[K] extends `${infer T extends FieldKind}?` ? FieldTypes[T] : never };

/**
 * Reads the fields of an answer.
 *
 * @throws {SyntaxError} when one is missing, or is no number where it must be
 */
export function readFields<S extends FieldSpec>(line: ProtocolLine, spec: S): FieldsOf<S> {
  const found: Record<string, unknown> = {};
  for (const [key, kind] of Object.entries(spec)) {
    const name = wireName(key);
    const value = line.fields.get(name);
    if (value !== undefined) found[key] = readValue(value, kind.replace("?", "") as FieldKind, name);
    else if (!kind.endsWith("?")) throw new SyntaxError(`expected ${name}= in the line "${line.word} ..."`);
  }
  return found as FieldsOf<S>;
}

function readValue(value: string, kind: FieldKind, name: string): FieldTypes[FieldKind] {
  if (kind === "text") return value;
  if (kind === "flag") return true;
  if (!/^(?:-?\d+|0x[0-9a-fA-F]+)$/.test(value)) {
    throw new SyntaxError(`expected a number in ${name}=, found ${JSON.stringify(value)}`);
  }
  const number = BigInt(value);
  if (kind === "bigint") return number;
  if (Number.isSafeInteger(Number(number))) return Number(number);
  throw new SyntaxError(`expected a smaller number in ${name}=, found ${number}`);
}
