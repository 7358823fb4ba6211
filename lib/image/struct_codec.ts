// SPDX-License-Identifier: MIT
import { byteText } from "../printable.ts";
import type {
  AnyFields,
  DisplayHint,
  FieldDesc,
  FieldRow,
  FieldsOf,
  FieldType,
  StructDesc,
} from "./struct_desc.ts";

/**
 * A struct from its table: offsets follow from the sizes, since fields cover every byte.
 *
 * @throws {RangeError} when the fields are not `size` bytes together
 */
export function struct<const R extends readonly FieldRow[]>(
  cName: string,
  size: number,
  rows: R,
): StructDesc<R> {
  let end = 0;
  const fields = rows.map(([name, type, doc, hint]): FieldDesc => {
    const offset = end;
    const bytes = type.startsWith("char") ? Number(/\d+/.exec(type)) : Number(type.slice(1)) / 8;
    end += bytes;
    const padding = hint === "padding" ? "named" : hint === "tail" ? hint : undefined;
    const display = padding ? "hex" : hint as DisplayHint | undefined;
    return { name, type, offset, size: bytes, doc, display, padding };
  });
  if (end !== size) throw new RangeError(`struct ${cName}: its fields have ${end} bytes, not ${size}`);
  return { cName, size, fields, rows };
}

/** How a DataView reads and writes what is not an array of bytes. */
const ACCESS = {
  ...{ u16: ["getUint16", "setUint16"], s16: ["getInt16", "setInt16"] } as const,
  ...{ u32: ["getUint32", "setUint32"], s32: ["getInt32", "setInt32"] } as const,
  u64: ["getBigUint64", "setBigUint64"],
} as const;

function isNumber(type: FieldType): type is keyof typeof ACCESS {
  return Object.hasOwn(ACCESS, type);
}

function readField({ type, size }: FieldDesc, view: DataView, at: number): number | bigint | Uint8Array {
  return isNumber(type)
    ? view[ACCESS[type][0]](at, true)
    : new Uint8Array(view.buffer, view.byteOffset + at, size);
}

function wrongType(field: FieldDesc, value: unknown): never {
  throw new TypeError(`${field.name}: a ${field.type} cannot hold ${typeof value} ${String(value)}`);
}

function checkRange(field: FieldDesc, value: number | bigint): void {
  const bits = BigInt(8 * field.size);
  const signed = field.type.startsWith("s");
  const low = signed ? -(1n << (bits - 1n)) : 0n;
  const high = signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n;
  if (value < low || value > high) {
    throw new RangeError(`${field.name}: a ${field.type} holds ${low} to ${high}, not ${value}`);
  }
}

function writeField(field: FieldDesc, view: DataView, at: number, value: unknown): void {
  const { name, type, size } = field;
  if (isNumber(type)) {
    const isKind = type === "u64" ? typeof value === "bigint" : Number.isInteger(value);
    if (!isKind) wrongType(field, value);
    checkRange(field, value as number | bigint);
    view[ACCESS[type][1]](at, value as never, true);
  } else {
    if (!(value instanceof Uint8Array)) wrongType(field, value);
    if (value.length !== size) throw new RangeError(`${name}: ${size} bytes are needed, not ${value.length}`);
    new Uint8Array(view.buffer, view.byteOffset + at, size).set(value);
  }
}

/**
 * Decodes a struct.
 *
 * @param view bytes that hold the whole struct
 * @param offset where in `view` it starts
 * @throws {RangeError} when `view` ends before the struct does
 */
export function readStruct<const S extends StructDesc>(desc: S, view: DataView, offset = 0): FieldsOf<S> {
  const fields: Record<string, number | bigint | Uint8Array> = {};
  for (const field of desc.fields) fields[field.name] = readField(field, view, offset + field.offset);
  return fields as FieldsOf<S>;
}

/**
 * Encodes a struct: every byte of it is written, since fields cover it whole.
 *
 * @throws {TypeError} for a value of the wrong kind or one that is missing
 * @throws {RangeError} for a value that the field cannot hold
 */
export function writeStruct(desc: StructDesc, fields: AnyFields, view: DataView, offset = 0): void {
  for (const field of desc.fields) writeField(field, view, offset + field.offset, fields[field.name]);
}

/** Bytes up to the first NUL, or all of them, as text: one character for each byte (Latin-1). */
export function rawText(bytes: Uint8Array): string {
  return byteText(beforeNul(bytes));
}

function beforeNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Bytes up to the first NUL, or all of them, as a person's text: printable UTF-8 stays, backslash and
 * all else becomes \xNN, so that different bytes never look the same.
 */
export function displayText(bytes: Uint8Array): string {
  const text = beforeNul(bytes);
  try {
    return utf8.decode(text).replaceAll(
      /[\p{C}\p{Zl}\p{Zp}\\]/gu,
      (c) => escapeBytes(new TextEncoder().encode(c)),
    );
  } catch {
    return rawText(text).replaceAll(/[^\x20-\x5b\x5d-\x7e]/g, (c) => escapeBytes([c.charCodeAt(0)]));
  }
}

function escapeBytes(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}
