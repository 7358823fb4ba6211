// SPDX-License-Identifier: MIT
import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../abi/arch.ts";
import { permissionText } from "../../abi/vm_flags.ts";
import { hex } from "../../bytes.ts";
import type { FormatOptions } from "../dialect.ts";
import type { ImageNode, PagesNode } from "../nodes.ts";
import { ImageOutline, mappingLabel } from "../outline.ts";

/** A page that was looked for. */
export interface FoundPage {
  /** Address of its first byte. */
  readonly address: bigint;
  /** What is known of it: mapping, chunk, place in the file; or why the image has no such page. */
  readonly place: string;
  /** Its contents: a view, until the next node is visited; undefined when the image has none. */
  readonly bytes: Uint8Array | undefined;
}

const BYTES_IN_LINE = 16;

/** Looks for the pages of a range of addresses as an image is decoded. */
export class PageFinder {
  readonly #outline: ImageOutline;
  readonly #first: bigint;
  readonly #last: bigint;
  readonly #found = new Set<bigint>();

  /** The pages that hold the addresses from `start` to `last`; `options` as the decoder had them. */
  constructor(start: bigint, last: bigint, options: FormatOptions = {}) {
    this.#first = start / PAGE_SIZE_BIG;
    this.#last = last / PAGE_SIZE_BIG;
    this.#outline = new ImageOutline(options);
  }

  /** The pages that another node has. */
  visit(node: ImageNode): FoundPage[] {
    this.#outline.visit(node);
    return node.kind === "pages" ? this.#within(node) : [];
  }

  #within(node: PagesNode): FoundPage[] {
    const pages: FoundPage[] = [];
    for (const [index, address] of node.vaddrs.subarray(0, node.count).entries()) {
      if (address < this.#first * PAGE_SIZE_BIG || address / PAGE_SIZE_BIG > this.#last) continue;
      this.#found.add(address / PAGE_SIZE_BIG);
      const offset = node.pagesOffset + index * PAGE_SIZE;
      const chunk = node.path.replace(/\/pages$/, "");
      const where = `page ${index} of ${chunk}, bytes ${offset} to ${offset + PAGE_SIZE - 1} of the file`;
      const bytes = node.pages.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE);
      pages.push({ address, place: `${this.#mappingAt(address)}: ${where}`, bytes });
    }
    return pages;
  }

  /** The pages that the image has not, up to a number of them; to be asked when it has ended. */
  missing(limit: number): FoundPage[] {
    const pages: FoundPage[] = [];
    for (let page = this.#first; page <= this.#last && pages.length < limit; page++) {
      if (this.#found.has(page)) continue;
      const address = page * PAGE_SIZE_BIG;
      const place = this.#mappingAt(address);
      pages.push({
        address,
        place: place === "" ? "in no mapping" : `${place}: not in the image`,
        bytes: undefined,
      });
    }
    return pages;
  }

  #mappingAt(address: bigint): string {
    const tasks = this.#outline.tasks;
    const found = tasks.flatMap(({ mappings }, task) => {
      const mapping = mappings.find(({ record: { fields } }) =>
        fields.vm_start <= address && address < fields.vm_end
      );
      if (!mapping) return [];
      const { vm_start, vm_flags } = mapping.record.fields;
      const ofTask = tasks.length > 1 ? `task ${task}, ` : "";
      const page = (address - vm_start) / PAGE_SIZE_BIG;
      return [`${ofTask}page ${page} of mapping ${mappingLabel(mapping)} ${permissionText(vm_flags)}`];
    });
    return found.join("; ");
  }
}

/**
 * Bytes as hexadecimal and text, 16 a line, with their addresses; `*` stands for lines that are like the one before.
 *
 * @param address of the first byte
 */
export function hexDump(bytes: Uint8Array, address: bigint): string[] {
  const lines: string[] = [];
  let [before, isRepeated] = ["", false];
  for (let at = 0; at < bytes.length; at += BYTES_IN_LINE) {
    const part = bytes.subarray(at, at + BYTES_IN_LINE);
    const pairs = Array.from(
      part,
      (byte, index) => `${index === 8 ? " " : ""}${byte.toString(16).padStart(2, "0")}`,
    );
    const text = Array.from(part, (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")
      .join("");
    const line = `${pairs.join(" ").padEnd(48)}  |${text}|`;
    if (line !== before) lines.push(`  ${hex(address + BigInt(at), 12)}  ${line}`);
    else if (!isRepeated) lines.push("  *");
    isRepeated = line === before;
    before = line;
  }
  return lines;
}
