// SPDX-License-Identifier: MIT
import { PAGE_SIZE, type WordSize } from "../abi/arch.ts";
import {
  isStruct,
  type Numbering,
  type RecordDesc,
  type RecordFields,
  type RecordName,
  RECORDS,
  recordType,
} from "./records.ts";
import { dataView, writeStruct } from "./struct_codec.ts";
import type { AnyFields, StructDesc } from "./struct_desc.ts";
import { RECORD_HEADER } from "./structs.ts";

/** What a record's header says beside its length. */
export interface WrittenHeader {
  /** What the record belongs to; 0 when left out. */
  readonly parent?: number;
  /** Number of the record type, when it is not to be that of its name. */
  readonly type?: number;
}

/** The fields of a record; those that are left out are 0. */
export type WrittenFields<N extends RecordName> = Partial<RecordFields<N>>;

/** Fields of a struct, all 0. */
function zeroFields({ fields }: StructDesc): Record<string, number | bigint | Uint8Array> {
  return Object.fromEntries(fields.map(({ name, type, size }) => {
    return [name, type === "u64" ? 0n : type.startsWith("char") ? new Uint8Array(size) : 0];
  }));
}

/** Writes records and raw bytes one after the other, in any order: what comes out need not be a good image. */
export class ImageWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #numbering: Numbering;

  /** `numbering`: that of images with a TREE, or the plain one. */
  constructor(numbering: Numbering = "plain") {
    this.#numbering = numbering;
  }

  /**
   * A record with fields.
   *
   * @throws {RangeError} {TypeError} for a value that a field cannot hold
   */
  record<N extends RecordName>(name: N, fields: WrittenFields<N>, header: WrittenHeader = {}): void {
    const { payload }: RecordDesc = RECORDS[name];
    if (!isStruct(payload)) throw new TypeError(`${name} has no fields`);
    const bytes = new Uint8Array(payload.size);
    writeStruct(payload, { ...zeroFields(payload), ...fields as AnyFields }, dataView(bytes));
    this.bytes(name, bytes, header);
  }

  /** A record by the bytes of its payload; without a name it needs a type. */
  bytes(name: RecordName | undefined, payload: Uint8Array, { parent = 0, type }: WrittenHeader = {}): void {
    const header = new Uint8Array(RECORD_HEADER.size);
    const number = type ?? (name === undefined ? undefined : recordType(name, this.#numbering));
    writeStruct(RECORD_HEADER, { type: number ?? -1, len: payload.length, parent }, dataView(header));
    this.#parts.push(header, payload);
  }

  /** A record of text, padded with zeros up to a size; its NUL is added. */
  text(name: RecordName, text: string, size = 0): void {
    const bytes = new TextEncoder().encode(`${text}\0`);
    const payload = new Uint8Array(Math.max(size, bytes.length));
    payload.set(bytes);
    this.bytes(name, payload);
  }

  /** The raw bytes after a PGARR: addresses first, then pages. */
  pages(pages: readonly (readonly [address: bigint, contents: Uint8Array])[], wordSize: WordSize): void {
    const addresses = new Uint8Array(pages.length * wordSize);
    const view = dataView(addresses);
    pages.forEach(([address, contents], i) => {
      const place = `page 0x${address.toString(16)}`;
      if (contents.length !== PAGE_SIZE) {
        throw new RangeError(`${place} has ${contents.length} bytes, not 4096`);
      }
      if (address >> BigInt(8 * wordSize)) {
        throw new RangeError(`${place} does not fit into ${wordSize} bytes`);
      }
      if (wordSize === 8) view.setBigUint64(8 * i, address, true);
      else view.setUint32(4 * i, Number(address), true);
    });
    this.#parts.push(addresses);
    for (const [, contents] of pages) this.#parts.push(contents);
  }

  /** Bytes without a record header. */
  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }

  /** All of it. */
  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}
