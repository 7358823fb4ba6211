// SPDX-License-Identifier: MIT

import { joinBytes } from "../bytes.ts";
import { readNodes } from "../image/image.ts";
import type { ImageNode, RecordNode } from "../image/nodes.ts";
import { fieldOf, type RecordName } from "../image/records.ts";
import { RECORD_HEADER } from "../image/structs.ts";

/** Which of the records of a name: the n-th, from 0, or the first that is so. */
export type Which = number | ((node: RecordNode) => boolean);

const HEADER_FIELDS: ReadonlyMap<string, { offset: number; size: number }> = new Map(
  RECORD_HEADER.fields.map(({ name, offset, size }) => [name, { offset, size }]),
);

/** Changes a whole image into one that is wrong; what is inserted comes last. */
export class ImageEditor {
  readonly #nodes: readonly ImageNode[];
  #bytes: Uint8Array;

  constructor(image: Uint8Array) {
    this.#nodes = readNodes(image).nodes;
    this.#bytes = image.slice();
  }

  /** The image as it is now. */
  get bytes(): Uint8Array {
    return this.#bytes;
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

  /** The node behind another. */
  after(node: ImageNode): ImageNode {
    return this.#nodes[this.#nodes.indexOf(node) + 1]!;
  }

  /** A field of a record, or of its header, as it is now. */
  get(name: RecordName, field: string, which?: Which): bigint {
    const { start, size } = this.#place(name, field, which);
    return this.#bytes.subarray(start, start + size).reduceRight(
      (sum, byte) => sum << 8n | BigInt(byte),
      0n,
    );
  }

  set(name: RecordName, field: string, value: bigint, which?: Which): void {
    this.flip(name, field, value ^ this.get(name, field, which), which);
  }

  flip(name: RecordName, field: string, mask: bigint, which?: Which): void {
    this.flipAt(this.#place(name, field, which).start, mask);
  }

  /** Flips bits of what follows a record without a header of its own. */
  flipRaw(name: RecordName, offset: number, mask: bigint): void {
    const { offset: start, length } = this.record(name);
    this.flipAt(start + length + offset, mask);
  }

  /** Flips bits from a byte of the image on. */
  flipAt(start: number, mask: bigint): void {
    for (let rest = mask, at = start; rest > 0n; rest >>= 8n, at++) {
      this.#bytes[at] = this.#bytes[at]! ^ Number(rest & 0xffn);
    }
  }

  insert(offset: number, bytes: Uint8Array): void {
    this.#bytes = joinBytes([this.#bytes.subarray(0, offset), bytes, this.#bytes.subarray(offset)]);
  }

  cut(offset: number): void {
    this.#bytes = this.#bytes.slice(0, offset);
  }

  #place(name: RecordName, field: string, which?: Which): { start: number; size: number } {
    const { offset } = this.record(name, which);
    const header = HEADER_FIELDS.get(field);
    if (header) return { start: offset + header.offset, size: header.size };
    const desc = fieldOf(name, field);
    if (!desc) throw new RangeError(`${name} has no field ${field}`);
    return { start: offset + RECORD_HEADER.size + desc.offset, size: desc.size };
  }
}
