// SPDX-License-Identifier: MIT
import { PAGE_SIZE, PAGE_SIZE_BIG, type WordSize } from "../abi/arch.ts";
import { decodeBytes, type DecodeOptions } from "./decoder.ts";
import type { Dialect } from "../abi/series.ts";
import { formatOfHead } from "./dialect.ts";
import { MalformedImageError } from "./malformed_image_error.ts";
import {
  type ImageNode,
  isRecord,
  type LdtNode,
  type PagesNode,
  type PidsNode,
  type RawNode,
  type RecordNode,
  type RecordNodeOf,
  type TlsNode,
  type XstateNode,
} from "./nodes.ts";

/** One PGARR record and the pages after it. The last chunk of a VMA has `nr_pages` 0. */
export interface ChunkImage {
  /** The PGARR record. */
  readonly record: RecordNodeOf<"PGARR">;
  /** What follows it raw; v11 has chunks without. */
  readonly pages: PagesNode | undefined;
}

/** One mapping. */
export interface VmaImage {
  /** The VMA record. */
  readonly record: RecordNodeOf<"VMA">;
  /** Name of the file that it maps. */
  readonly fname: RecordNodeOf<"FNAME"> | undefined;
  /** Chunks with `nr_pages` above 0, in order. */
  readonly chunks: readonly ChunkImage[];
  /** The PGARR of no pages that ends the contents. */
  readonly endRecord: RecordNodeOf<"PGARR">;
}

/** One open file, of patch 8 and later. */
export interface FileImage {
  /** The descriptor. */
  readonly entry: RecordNodeOf<"FD_ENT">;
  /** The open file, with its first descriptor only. */
  readonly data: RecordNodeOf<"FD_DATA"> | undefined;
  /** Its name. */
  readonly fname: RecordNodeOf<"FNAME"> | undefined;
}

/** One task. */
export interface TaskImage {
  /** State of the task. */
  readonly task: RecordNodeOf<"TASK">;
  /** Its name. */
  readonly comm: RecordNodeOf<"STRING">;
  /** Its address space as a whole. */
  readonly mm: RecordNodeOf<"MM">;
  /** Its mappings, ascending. */
  readonly vmas: readonly VmaImage[];
  /** Size of its LDT. */
  readonly mmContext: RecordNodeOf<"MM_CONTEXT">;
  /** The LDT, if there is one. */
  readonly ldt: LdtNode | undefined;
  /** Open files, of patch 8 and later. */
  readonly files:
    | { readonly record: RecordNodeOf<"FILES">; readonly entries: readonly FileImage[] }
    | undefined;
  /** Number of its TLS entries. */
  readonly thread: RecordNodeOf<"THREAD">;
  /** All TLS entries, if one is in use. */
  readonly tls: TlsNode | undefined;
  /** Registers. */
  readonly cpu: RecordNodeOf<"CPU">;
  /** FPU state. */
  readonly xstate: XstateNode | undefined;
  /** Bases of fs and gs; port on x86-64 only. */
  readonly fsgsbase: RecordNodeOf<"X86_FSGSBASE"> | undefined;
  /** The auxiliary vector; port only. */
  readonly auxv: RecordNodeOf<"AUXV"> | undefined;
  /** Blocked signals and the alternate stack; port only. */
  readonly signals: RecordNodeOf<"SIGNALS"> | undefined;
  /** What signals do, ascending; port only. */
  readonly actions: readonly RecordNodeOf<"SIGACTION">[];
}

/** A whole image. */
export interface CheckpointImage {
  /** Whose conventions hold. */
  readonly dialect: Dialect;
  /** Bytes of a page address. */
  readonly wordSize: WordSize;
  /** Who wrote the image, and when. */
  readonly head: RecordNodeOf<"HEAD">;
  /** The FPU of the machine. */
  readonly headArch: RecordNodeOf<"HEAD_ARCH">;
  /** The tasks by their ids, of patch 12 and later. */
  readonly tree: { readonly record: RecordNodeOf<"TREE">; readonly pids: PidsNode | undefined } | undefined;
  /** The tasks, one in the port. */
  readonly tasks: readonly TaskImage[];
  /** The end mark. */
  readonly tail: RecordNodeOf<"TAIL">;
  /** All nodes in order, unknown records and bytes after TAIL too: they tile the file from `head` to its end. */
  readonly nodes: readonly ImageNode[];
}

/** One page of contents. */
export interface PageImage {
  /** Address in the process. */
  readonly vaddr: bigint;
  /** 4096 bytes: a view. */
  readonly bytes: Uint8Array;
  /** Byte offset of its contents in the file. */
  readonly offset: number;
}

class TreeBuilder {
  readonly #nodes: readonly ImageNode[];
  #at = 0;
  #lastPath = "head";

  constructor(nodes: readonly ImageNode[]) {
    this.#nodes = nodes;
  }

  #peek(): ImageNode | undefined {
    while (this.#nodes[this.#at]?.kind === "unknown") this.#at++;
    return this.#nodes[this.#at];
  }

  #record<N extends RecordNode["name"]>(name: N): RecordNodeOf<N> | undefined {
    const node = this.#peek();
    if (!isRecord(node, name)) return undefined;
    this.#at++;
    this.#lastPath = node.path;
    return node;
  }

  #required<N extends RecordNode["name"]>(name: N): RecordNodeOf<N> {
    const record = this.#record(name);
    if (record !== undefined) return record;
    const node = this.#peek();
    throw new MalformedImageError({
      id: "E_ORDER",
      offset: node?.offset ?? 0,
      path: node?.path ?? this.#lastPath,
      message: `wrong record after ${this.#lastPath}`,
      expected: name,
      actual: node === undefined ? "nothing" : node.kind === "record" ? node.name : node.kind,
    });
  }

  #raw<K extends RawNode["kind"]>(kind: K): Extract<RawNode, { kind: K }> | undefined {
    const node = this.#peek();
    if (node?.kind !== kind) return undefined;
    this.#at++;
    return node as Extract<RawNode, { kind: K }>;
  }

  /** A part for each record of a kind that comes next. */
  #each<N extends RecordNode["name"], Part>(name: N, part: (record: RecordNodeOf<N>) => Part): Part[] {
    const parts: Part[] = [];
    for (let node = this.#record(name); node !== undefined; node = this.#record(name)) parts.push(part(node));
    return parts;
  }

  #vma(record: RecordNodeOf<"VMA">): VmaImage {
    const fname = this.#record("FNAME");
    const chunks: ChunkImage[] = [];
    for (;;) {
      const pgarr = this.#required("PGARR");
      const pages = this.#raw("pages");
      if (pgarr.fields.nr_pages === 0n) return { record, fname, chunks, endRecord: pgarr };
      chunks.push({ record: pgarr, pages });
    }
  }

  #files(): TaskImage["files"] {
    const record = this.#record("FILES");
    const fileOf = (entry: RecordNodeOf<"FD_ENT">): FileImage => (
      { entry, data: this.#record("FD_DATA"), fname: this.#record("FNAME") }
    );
    return record && { record, entries: this.#each("FD_ENT", fileOf) };
  }

  #task(): TaskImage {
    return {
      task: this.#required("TASK"),
      comm: this.#required("STRING"),
      mm: this.#required("MM"),
      vmas: this.#each("VMA", (record) => this.#vma(record)),
      mmContext: this.#required("MM_CONTEXT"),
      ldt: this.#raw("ldt"),
      files: this.#files(),
      thread: this.#required("THREAD"),
      tls: this.#raw("tls"),
      cpu: this.#required("CPU"),
      xstate: this.#raw("xstate"),
      fsgsbase: this.#record("X86_FSGSBASE"),
      auxv: this.#record("AUXV"),
      signals: this.#record("SIGNALS"),
      actions: this.#each("SIGACTION", (record) => record),
    };
  }

  image(options: DecodeOptions): CheckpointImage {
    const head = this.#required("HEAD");
    const headArch = this.#required("HEAD_ARCH");
    const record = this.#record("TREE");
    const tree = record && { record, pids: this.#raw("pids") };
    const tasks: TaskImage[] = [];
    let tail;
    do tasks.push(this.#task()); while (!(tail = this.#record("TAIL")));
    return { ...formatOfHead(head.fields, options), head, headArch, tree, tasks, tail, nodes: this.#nodes };
  }
}

/**
 * Decodes a whole image into a tree. Payloads and pages are views of `bytes`.
 *
 * @throws {MalformedImageError} when it cannot be decoded, or its records are not in the format's order
 */
export function readImage(bytes: Uint8Array, options: DecodeOptions = {}): CheckpointImage {
  return new TreeBuilder([...decodeBytes(bytes, options)]).image(options);
}

/** Decodes as far as possible: the nodes, and the error that stopped it if there was one. */
export function readNodes(
  bytes: Uint8Array,
  options: DecodeOptions = {},
): { nodes: ImageNode[]; error?: MalformedImageError } {
  const nodes: ImageNode[] = [];
  try {
    for (const node of decodeBytes(bytes, options)) nodes.push(node);
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    return { nodes, error };
  }
  return { nodes };
}

/** The pages of a VMA in the image's order. */
export function* vmaPages(vma: VmaImage): Generator<PageImage, void, void> {
  for (const { pages } of vma.chunks) for (let i = 0; i < (pages?.count ?? 0); i++) yield pageOf(pages!, i);
}

/**
 * The page that holds an address of a task, or undefined when the image has none: no mapping is there, or its page was
 * never written.
 */
export function pageAt(task: TaskImage, address: bigint): PageImage | undefined {
  const start = address - address % PAGE_SIZE_BIG;
  const vma = task.vmas.find(({ record: { fields } }) => fields.vm_start <= start && start < fields.vm_end);
  for (const { pages } of vma?.chunks ?? []) {
    const index = pages?.vaddrs.indexOf(start) ?? -1;
    if (pages && index >= 0) return pageOf(pages, index);
  }
  return undefined;
}

function pageOf({ vaddrs, pages, pagesOffset }: PagesNode, index: number): PageImage {
  const at = index * PAGE_SIZE;
  return { vaddr: vaddrs[index] ?? 0n, bytes: pages.subarray(at, at + PAGE_SIZE), offset: pagesOffset + at };
}
