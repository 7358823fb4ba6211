// SPDX-License-Identifier: MIT
import { PAGE_SIZE, PAGE_SIZE_BIG } from "../abi/arch.ts";
import { BlockHash } from "../abi/block_hash.ts";
import { formatOfHead, type FormatOptions, type ImageFormat } from "./dialect.ts";
import {
  type ImageNode,
  isRecord,
  type PagesNode,
  type RecordNode,
  type RecordNodeOf,
  type TrailingNode,
} from "./nodes.ts";
import { signalName } from "../abi/signals.ts";
import { vmaName } from "./show/show_image.ts";

/** Neighbouring pages of one chunk that are alike. */
export interface PageRun {
  /** Address of the first one. */
  readonly vaddr: bigint;
  /** How many there are. */
  count: number;
  /** Byte offset of the first one's contents in the file. */
  readonly offset: number;
  /** Whether they hold nothing but zeros. */
  readonly isZero: boolean;
}

/** One mapping without the contents of its pages. */
export interface MappingOutline {
  /** The VMA record. */
  readonly record: RecordNodeOf<"VMA">;
  /** Name of the file that it maps. */
  fname?: RecordNodeOf<"FNAME">;
  /** Its name, as /proc/PID/maps would have it. */
  name: string;
  /** Its PGARR records, the one that ends it too. */
  readonly chunks: RecordNodeOf<"PGARR">[];
  /** Its pages, in the image's order. */
  readonly runs: PageRun[];
  /** How many pages the image has of it. */
  pages: number;
}

/** One task without the contents of its pages. */
export interface TaskOutline {
  /** Its mappings, in the image's order. */
  readonly mappings: MappingOutline[];
  /** Its records that are no part of a mapping, and raw bytes, by their names: `task`, `mm`, `mm_context/ldt`. */
  readonly parts: Map<string, OutlinePart>;
}

/** A part of an image that is held: a record or raw bytes, no pages, nothing behind its end. */
export type OutlinePart = Exclude<ImageNode, PagesNode | TrailingNode>;

/** All of an image but the contents of its pages, collected as it is decoded. */
export class ImageOutline {
  readonly #options: FormatOptions;
  #mm: RecordNodeOf<"MM"> | undefined;
  /** How to read it, as its head says; the default before the head. */
  format: ImageFormat = { dialect: "port", wordSize: 8 };
  /** The tasks so far. */
  readonly tasks: TaskOutline[] = [];
  /** What belongs to no task, by path. */
  readonly parts: Map<string, OutlinePart> = new Map();
  /** Length and digest of what follows the image in the file, of which nothing is kept. */
  readonly trailing: BlockHash = new BlockHash();

  /** `options`: overrides of what the head says, as the decoder had them. */
  constructor(options: FormatOptions = {}) {
    this.#options = options;
  }

  /** The mapping that is being read. */
  get mapping(): MappingOutline | undefined {
    return this.tasks.at(-1)?.mappings.at(-1);
  }

  /** Takes the next part of the image; of pages it keeps where they are. */
  visit(node: ImageNode): void {
    if (node.kind === "pages") return this.#pages(node);
    if (node.kind === "trailing") return void this.trailing.update(node.bytes);
    const part = keptPart(node);
    if (part.kind === "record") {
      if (part.name === "HEAD") this.format = formatOfHead(part.fields, this.#options);
      if (part.name === "TASK") this.tasks.push({ mappings: [], parts: new Map() });
      if (part.name === "MM") this.#mm = part;
      if (this.#ofMapping(part)) return;
    }
    const [, task, name = ""] = /^(task\[\d+\])\/?(.*)$/.exec(part.path) ?? [];
    const parts = task === undefined ? this.parts : this.tasks.at(-1)?.parts ?? this.parts;
    // By what it is about, so that one of two images may have more of them.
    const key = isRecord(part, "SIGACTION") ? `sigaction ${signalName(part.fields.signr)}` : name || "task";
    put(parts, task === undefined ? part.path : key, part);
  }

  #ofMapping(record: RecordNode): boolean {
    const mapping = this.mapping;
    switch (record.name) {
      case "VMA": {
        const name = vmaName(record, { mm: this.#mm });
        this.tasks.at(-1)?.mappings.push({ record, name, chunks: [], runs: [], pages: 0 });
        return this.tasks.length > 0;
      }
      case "FNAME":
        if (!mapping || !record.path.includes("/vma[") || mapping.fname) return false;
        mapping.fname = record;
        mapping.name = vmaName(mapping.record, { fname: record, mm: this.#mm });
        return true;
      case "PGARR":
        mapping?.chunks.push(record);
        return mapping !== undefined;
      default:
        return false;
    }
  }

  #pages({ count, vaddrs, pages, pagesOffset }: PagesNode): void {
    const mapping = this.mapping;
    if (!mapping) return;
    mapping.pages += count;
    let run: PageRun | undefined;
    for (let index = 0; index < count; index++) {
      const vaddr = vaddrs[index]!;
      const isZero = isZeroPage(pages, index * PAGE_SIZE);
      if (run?.isZero === isZero && run.vaddr + BigInt(run.count) * PAGE_SIZE_BIG === vaddr) run.count++;
      else mapping.runs.push(run = { vaddr, count: 1, offset: pagesOffset + index * PAGE_SIZE, isZero });
    }
  }
}

/** What a mapping is called: where it lies and what it maps. */
export function mappingLabel({ record: { fields: { vm_start, vm_end } }, name }: MappingOutline): string {
  return `${vm_start.toString(16)}-${vm_end.toString(16)}${name === "" ? "" : ` ${name}`}`;
}

/** A copy of its bytes: the part itself is a view of a piece of the file, which is larger. */
function keptPart(part: OutlinePart): OutlinePart {
  if (part.kind === "record" || part.kind === "unknown") return { ...part, payload: part.payload.slice() };
  return { ...part, bytes: part.bytes.slice() };
}

/** A broken image may have two records of one path. */
function put(parts: Map<string, OutlinePart>, name: string, part: OutlinePart): void {
  let key = name;
  for (let count = 2; parts.has(key); count++) key = `${name} (${count})`;
  parts.set(key, part);
}

function isZeroPage(pages: Uint8Array, start: number): boolean {
  for (let at = start; at < start + PAGE_SIZE; at++) if (pages[at] !== 0) return false;
  return true;
}
