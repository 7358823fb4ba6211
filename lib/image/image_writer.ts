// SPDX-License-Identifier: MIT
import { PAGE_SIZE, type WordSize } from "../abi/arch.ts";
import {
  fieldsOf,
  isStruct,
  type Numbering,
  type RecordFields,
  type RecordName,
  RECORDS,
  recordType,
} from "./records.ts";
import type { ImageNode } from "./nodes.ts";
import { writeStruct } from "./struct_codec.ts";
import type { AnyFields } from "./struct_desc.ts";
import { RECORD_HEADER } from "./structs.ts";
import { dataView, hex, joinBytes } from "../bytes.ts";

/** What a record's header says beside its length. */
export interface WrittenHeader {
  /** What the record belongs to; 0 when left out. */
  readonly parent?: number;
  /** Number of the record type, when it is not to be that of its name. */
  readonly type?: number;
}

/** The fields of a record; those that are left out are 0. */
export type WrittenFields<N extends RecordName> = Partial<RecordFields<N>>;

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
    const { payload } = RECORDS[name];
    if (!isStruct(payload)) throw new TypeError(`${name} has no fields`);
    const bytes = new Uint8Array(payload.size);
    const given = payload.fields.filter((field) => (fields as AnyFields)[field.name] !== undefined);
    writeStruct({ ...payload, fields: given }, fields as AnyFields, dataView(bytes));
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

  /**
   * The raw bytes after a PGARR: addresses first, then the contents of all pages.
   *
   * @throws {RangeError} when there is another number of addresses than of pages, or one that is too wide
   */
  pages(addresses: ArrayLike<bigint>, contents: readonly Uint8Array[], wordSize: WordSize): void {
    const count = addresses.length;
    const bytes = contents.reduce((sum, part) => sum + part.length, 0);
    if (bytes !== count * PAGE_SIZE) {
      throw new RangeError(`${count} addresses need ${count} pages, not ${bytes} bytes`);
    }
    const words = new Uint8Array(count * wordSize);
    const view = dataView(words);
    for (let i = 0; i < count; i++) {
      const address = addresses[i] ?? 0n;
      if (wordSize === 8) view.setBigUint64(8 * i, address, true);
      else if (address > 0xffff_ffffn) throw new RangeError(`${hex(address)} needs 8 bytes, not 4`);
      else view.setUint32(4 * i, Number(address), true);
    }
    this.#parts.push(words);
    for (const part of contents) this.#parts.push(part);
  }

  /** Bytes without a record header. */
  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }

  /** What was written, in pieces: most of a large image are contents of pages, which nobody has copied yet. */
  get parts(): readonly Uint8Array[] {
    return this.#parts;
  }

  /** All of it. */
  finish(): Uint8Array<ArrayBuffer> {
    return joinBytes(this.#parts);
  }
}

/** Writes a node of an image as {@linkcode encode} does. */
export function writeNode(writer: ImageWriter, node: ImageNode): void {
  switch (node.kind) {
    case "record":
      return fieldsOf(node.name).length > 0
        ? writer.record(node.name, node.fields, node.header)
        : writer.bytes(node.name, node.payload, node.header);
    case "unknown":
      return writer.bytes(undefined, node.payload, node.header);
    case "pages":
      return writer.pages(node.vaddrs, [node.pages], node.wordSize);
    default:
      return writer.raw(node.bytes);
  }
}

/**
 * Encodes an image. What {@linkcode readImage} or {@linkcode decodeBytes} made comes out as the same bytes. Structs are
 * written from their fields, so that a changed field changes the image.
 *
 * @param image an image, or nodes in order
 * @throws {TypeError} {RangeError} for a field that cannot hold its value
 */
export function encode(
  image: { readonly nodes: Iterable<ImageNode> } | Iterable<ImageNode>,
): Uint8Array<ArrayBuffer> {
  const writer = new ImageWriter();
  for (const node of "nodes" in image ? image.nodes : image) writeNode(writer, node);
  return writer.finish();
}
