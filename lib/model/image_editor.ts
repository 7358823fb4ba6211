// SPDX-License-Identifier: MIT

import { joinBytes, numberAt } from "../bytes.ts";
import { readNodes } from "../image/image.ts";
import type { ImageNode, RecordNode } from "../image/nodes.ts";
import { fieldOf, type RecordName } from "../image/records.ts";
import { RECORD_HEADER } from "../image/structs.ts";

/** Which of the records of a name: the n-th, from 0, or the first that is so. */
export type Which = number | ((node: RecordNode) => boolean);

/** Changes a whole image into one that is wrong; what is inserted comes last. */
export class ImageEditor {
  /** The image as it is now. */
  bytes: Uint8Array<ArrayBuffer>;
  readonly #nodes: readonly ImageNode[];

  constructor(image: Uint8Array) {
    this.#nodes = readNodes(image).nodes;
    this.bytes = image.slice();
  }

  has(name: RecordName): boolean {
    return this.#nodes.some((node) => node.kind === "record" && node.name === name);
  }

  /** A record. @throws {RangeError} where the image has none */
  record(name: RecordName, which: Which = 0): RecordNode {
    const records = this.#nodes.filter((node) =>
      node.kind === "record" && node.name === name
    ) as RecordNode[];
    const found = typeof which === "number" ? records[which] : records.find(which);
    if (!found) throw new RangeError(`the image has no such ${name} record`);
    return found;
  }

  /** What of a kind without a header comes first. @throws {RangeError} where the image has none */
  raw(kind: Exclude<ImageNode["kind"], "record">): ImageNode {
    const node = this.#nodes.find((one) => one.kind === kind);
    if (!node) throw new RangeError(`the image has no ${kind}`);
    return node;
  }

  /** The node behind another. */
  after(node: ImageNode): ImageNode {
    return this.#nodes[this.#nodes.indexOf(node) + 1]!;
  }

  /** A field of a record, or of its header, as it is now. */
  get(name: RecordName, field: string, which?: Which): bigint {
    return numberAt(this.bytes, this.#place(name, field, which));
  }

  /** Sets a field; returns its offset. */
  set(name: RecordName, field: string, value: number | bigint, which?: Which): number {
    const { offset, size } = this.#place(name, field, which);
    this.write(offset, value, size);
    return offset;
  }

  /** Writes a little-endian integer of `size` bytes. */
  write(at: number, value: number | bigint, size: number): void {
    for (let i = 0; i < size; i++) this.bytes[at + i] = Number(BigInt(value) >> BigInt(8 * i) & 0xffn);
  }

  flip(name: RecordName, field: string, mask: bigint, which?: Which): void {
    this.flipAt(this.#place(name, field, which).offset, mask);
  }

  /** Flips bits of what follows a record without a header of its own. */
  flipRaw(name: RecordName, offset: number, mask: bigint): void {
    const { offset: start, length } = this.record(name);
    this.flipAt(start + length + offset, mask);
  }

  /** Flips bits from a byte of the image on. */
  flipAt(start: number, mask: bigint): void {
    for (let rest = mask, at = start; rest > 0n; rest >>= 8n, at++) {
      this.bytes[at] = this.bytes[at]! ^ Number(rest & 0xffn);
    }
  }

  insert(offset: number, bytes: Uint8Array): void {
    this.replace(offset, 0, bytes);
  }

  replace(offset: number, length: number, bytes: Uint8Array): void {
    this.bytes = joinBytes([this.bytes.subarray(0, offset), bytes, this.bytes.subarray(offset + length)]);
  }

  remove({ offset, length }: ImageNode): void {
    this.replace(offset, length, new Uint8Array());
  }

  cut(offset: number): void {
    this.bytes = this.bytes.slice(0, offset);
  }

  #place(name: RecordName, field: string, which?: Which): { offset: number; size: number } {
    const { offset } = this.record(name, which);
    const header = RECORD_HEADER.fields.find((one) => one.name === field);
    if (header) return { offset: offset + header.offset, size: header.size };
    const desc = fieldOf(name, field);
    if (!desc) throw new RangeError(`${name} has no field ${field}`);
    return { offset: offset + RECORD_HEADER.size + desc.offset, size: desc.size };
  }
}
