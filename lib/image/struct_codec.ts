// SPDX-License-Identifier: MIT
import type { AnyFields, DisplayHint, FieldDesc, FieldRow, FieldsOf, StructDesc } from "./struct_desc.ts";

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

function readField(field: FieldDesc, view: DataView, at: number): number | bigint | Uint8Array {
  switch (field.type) {
    case "u16":
      return view.getUint16(at, true);
    case "s16":
      return view.getInt16(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "s32":
      return view.getInt32(at, true);
    case "u64":
      return view.getBigUint64(at, true);
    default:
      return new Uint8Array(view.buffer, view.byteOffset + at, field.size);
  }
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
  if (field.type.startsWith("char")) {
    if (!(value instanceof Uint8Array)) wrongType(field, value);
    if (value.length !== field.size) {
      throw new RangeError(`${field.name}: ${field.size} bytes are needed, not ${value.length}`);
    }
    new Uint8Array(view.buffer, view.byteOffset + at, field.size).set(value);
    return;
  }
  if (field.type === "u64") {
    if (typeof value !== "bigint") wrongType(field, value);
    checkRange(field, value);
    return view.setBigUint64(at, value, true);
  }
  if (!Number.isInteger(value)) wrongType(field, value);
  const number = value as number;
  checkRange(field, number);
  if (field.size === 2) view.setUint16(at, number & 0xffff, true);
  else view.setUint32(at, number >>> 0, true);
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

/** Bytes up to the first NUL, or all of them, as text: one character for each byte (Latin-1). */
export function rawText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  let text = "";
  for (const byte of end < 0 ? bytes : bytes.subarray(0, end)) text += String.fromCharCode(byte);
  return text;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Bytes up to the first NUL, or all of them, as a person's text: printable UTF-8 stays, backslash and
 * all else becomes \xNN, so that different bytes never look the same.
 */
export function displayText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const text = end < 0 ? bytes : bytes.subarray(0, end);
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
