// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { joinBytes } from "../../bytes.ts";
import { decodeBytes } from "../../image/decoder.ts";
import { type ImageNode, isRecord, type PagesNode, type RecordNode } from "../../image/nodes.ts";
import { fieldOf, type RecordName } from "../../image/records.ts";

const HEADER_SIZE = 8;

/** A part of an image under the knife: what it was decoded as, and its bytes, which may be changed. */
interface ImagePart {
  readonly node: ImageNode;
  bytes: Uint8Array<ArrayBuffer>;
}

/** An image taken apart at the borders of its nodes, to be changed and put together again. */
export class ImageSurgery {
  readonly parts: ImagePart[];

  constructor(image: Uint8Array) {
    this.parts = [...decodeBytes(image)].map((node) => ({
      node,
      bytes: image.slice(node.offset, node.offset + node.length),
    }));
  }

  /** The image as it is now. */
  join(): Uint8Array<ArrayBuffer> {
    return joinBytes(this.parts.map(({ bytes }) => bytes));
  }

  /** Where the first part lies that a condition holds for. @throws {RangeError} when there is none */
  find(wanted: (node: ImageNode) => boolean): number {
    const index = this.parts.findIndex(({ node }) => wanted(node));
    if (index < 0) throw new RangeError("The image has no such part");
    return index;
  }

  /** Where the first record of a name lies, from a part on. */
  record(name: RecordName, from = 0): number {
    const index = this.parts.findIndex(({ node }, at) => at >= from && isRecord(node, name));
    if (index < 0) throw new RangeError(`the image has no ${name}`);
    return index;
  }

  /** Where the VMA record that starts at an address lies. */
  vma(start: bigint): number {
    return this.find((node) =>
      node.kind === "record" && node.name === "VMA" && node.fields.vm_start === start
    );
  }

  /** The part after the last one of the VMA at `index`. */
  vmaEnd(index: number): number {
    let end = index + 1;
    while (this.#belongsToVma(this.parts[end]?.node)) end++;
    return end;
  }

  #belongsToVma(node: ImageNode | undefined): boolean {
    return node?.kind === "pages" || (node?.kind === "record" && ["FNAME", "PGARR"].includes(node.name));
  }

  /** Sets a field of the record at `index`. */
  set(index: number, field: string, value: bigint | number): void {
    const { node, bytes } = this.parts[index]!;
    const { offset, size } = fieldOf((node as RecordNode).name, field)!;
    for (let i = 0; i < size; i++) {
      bytes[HEADER_SIZE + offset + i] = Number((BigInt(value) >> BigInt(8 * i)) & 0xffn);
    }
  }

  /** The pages of the chunk at `index`, each with its address. */
  pagesOf(index: number): { vaddr: bigint; bytes: Uint8Array }[] {
    const node = this.parts[index]!.node as PagesNode;
    return Array.from(node.vaddrs, (vaddr, i) => ({
      vaddr,
      bytes: node.pages.slice(i * PAGE_SIZE, (i + 1) * PAGE_SIZE),
    }));
  }

  /** Replaces the pages of the chunk at `index`, and its count in the PGARR before it. */
  setPages(index: number, pages: readonly { vaddr: bigint; bytes: Uint8Array }[]): void {
    const { wordSize } = this.parts[index]!.node as PagesNode;
    const bytes = new Uint8Array(pages.length * (wordSize + PAGE_SIZE));
    pages.forEach((page, i) => {
      for (let k = 0; k < wordSize; k++) {
        bytes[i * wordSize + k] = Number((page.vaddr >> BigInt(8 * k)) & 0xffn);
      }
      bytes.set(page.bytes, pages.length * wordSize + i * PAGE_SIZE);
    });
    this.parts[index]!.bytes = bytes;
    this.set(index - 1, "nr_pages", pages.length);
  }
}
