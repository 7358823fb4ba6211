// SPDX-License-Identifier: MIT
import { PAGE_SIZE, type WordSize } from "../abi/arch.ts";
import { decodeBytes, type DecodeOptions } from "./decoder.ts";
import type { Dialect } from "../abi/dialect.ts";
import { formatOfHead } from "./dialect.ts";
import { MalformedImageError } from "./malformed_image_error.ts";
import type {
  ImageNode,
  LdtNode,
  PagesNode,
  PidsNode,
  RecordNode,
  RecordNodeOf,
  TlsNode,
  UnknownNode,
  XstateNode,
} from "./nodes.ts";

/** One PGARR record and the pages after it. The last chunk of a VMA has `nr_pages` 0. */
export interface ChunkImage {
  /** The PGARR record. */
  readonly record: RecordNodeOf<"PGARR">;
  /** What follows it raw; v11 has chunks without. */
  readonly pages?: PagesNode;
}

/** One mapping. */
export interface VmaImage {
  /** The VMA record. */
  readonly record: RecordNodeOf<"VMA">;
  /** Name of the file that it maps. */
  readonly fname?: RecordNodeOf<"FNAME">;
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
  readonly data?: RecordNodeOf<"FD_DATA">;
  /** Its name. */
  readonly fname?: RecordNodeOf<"FNAME">;
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
  readonly ldt?: LdtNode;
  /** Open files, of patch 8 and later. */
  readonly files?: { readonly record: RecordNodeOf<"FILES">; readonly entries: readonly FileImage[] };
  /** Number of its TLS entries. */
  readonly thread: RecordNodeOf<"THREAD">;
  /** All TLS entries, if one is in use. */
  readonly tls?: TlsNode;
  /** Registers. */
  readonly cpu: RecordNodeOf<"CPU">;
  /** FPU state. */
  readonly xstate?: XstateNode;
  /** Bases of fs and gs; port on x86-64 only. */
  readonly fsgsbase?: RecordNodeOf<"X86_FSGSBASE">;
}

/** A whole image. */
export interface CheckpointImage {
  /** Whose conventions hold. */
  readonly dialect: Dialect;
  /** Bytes of a page address. */
  readonly wordSize: WordSize;
  /** Byte offset of the image in the file. */
  readonly start: number;
  /** Byte offset of the first byte after TAIL. */
  readonly end: number;
  /** Who wrote the image, and when. */
  readonly head: RecordNodeOf<"HEAD">;
  /** The FPU of the machine. */
  readonly headArch: RecordNodeOf<"HEAD_ARCH">;
  /** The tasks by their ids, of patch 12 and later. */
  readonly tree?: { readonly record: RecordNodeOf<"TREE">; readonly pids?: PidsNode };
  /** The tasks, one in the port. */
  readonly tasks: readonly TaskImage[];
  /** The end mark. */
  readonly tail: RecordNodeOf<"TAIL">;
  /** Records of types that this version does not know. */
  readonly unknown: readonly UnknownNode[];
  /** Bytes after TAIL. */
  readonly trailing: Uint8Array;
  /** All nodes in order: they tile the file from `start` to its end. */
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

/** Reads nodes one by one and builds the tree. */
class TreeBuilder {
  readonly #nodes: readonly ImageNode[];
  readonly unknown: UnknownNode[] = [];
  #at = 0;
  #lastPath = "head";

  constructor(nodes: readonly ImageNode[]) {
    this.#nodes = nodes;
  }

  #peek(): ImageNode | undefined {
    let node = this.#nodes[this.#at];
    while (node?.kind === "unknown") {
      this.unknown.push(node);
      node = this.#nodes[++this.#at];
    }
    return node;
  }

  record<N extends RecordNode["name"]>(name: N): RecordNodeOf<N> | undefined {
    const node = this.#peek();
    if (node?.kind !== "record" || node.name !== name) return undefined;
    this.#at++;
    this.#lastPath = node.path;
    return node as RecordNode as RecordNodeOf<N>;
  }

  required<N extends RecordNode["name"]>(name: N): RecordNodeOf<N> {
    return this.record(name) ?? this.wrongOrder(name);
  }

  raw<K extends "pages" | "ldt" | "tls" | "xstate" | "pids">(
    kind: K,
  ): Extract<ImageNode, { kind: K }> | undefined {
    const node = this.#peek();
    if (node?.kind !== kind) return undefined;
    this.#at++;
    return node as Extract<ImageNode, { kind: K }>;
  }

  wrongOrder(expected: string): never {
    const node = this.#peek();
    throw new MalformedImageError({
      id: "E_ORDER",
      offset: node?.offset ?? 0,
      path: node?.path ?? this.#lastPath,
      what: `wrong record after ${this.#lastPath}`,
      expected,
      actual: node === undefined ? "nothing" : node.kind === "record" ? node.name : node.kind,
    });
  }

  chunk(): ChunkImage {
    const record = this.required("PGARR");
    const pages = this.raw("pages");
    return pages === undefined ? { record } : { record, pages };
  }

  vma(record: RecordNodeOf<"VMA">): VmaImage {
    const fname = this.record("FNAME");
    const chunks: ChunkImage[] = [];
    let chunk = this.chunk();
    while (chunk.record.fields.nr_pages !== 0n) {
      chunks.push(chunk);
      chunk = this.chunk();
    }
    return { record, ...(fname && { fname }), chunks, endRecord: chunk.record };
  }

  files(): TaskImage["files"] {
    const record = this.record("FILES");
    if (record === undefined) return undefined;
    const entries: FileImage[] = [];
    for (let entry = this.record("FD_ENT"); entry !== undefined; entry = this.record("FD_ENT")) {
      const data = this.record("FD_DATA");
      const fname = this.record("FNAME");
      entries.push({ entry, ...(data && { data }), ...(fname && { fname }) });
    }
    return { record, entries };
  }

  task(): TaskImage {
    const task = this.required("TASK");
    const comm = this.required("STRING");
    const mm = this.required("MM");
    const vmas: VmaImage[] = [];
    for (let vma = this.record("VMA"); vma !== undefined; vma = this.record("VMA")) vmas.push(this.vma(vma));
    const mmContext = this.required("MM_CONTEXT");
    const ldt = this.raw("ldt");
    const files = this.files();
    const thread = this.required("THREAD");
    const tls = this.raw("tls");
    const cpu = this.required("CPU");
    const xstate = this.raw("xstate");
    const fsgsbase = this.record("X86_FSGSBASE");
    return {
      task,
      comm,
      mm,
      vmas,
      mmContext,
      ...(ldt && { ldt }),
      ...(files && { files }),
      thread,
      ...(tls && { tls }),
      cpu,
      ...(xstate && { xstate }),
      ...(fsgsbase && { fsgsbase }),
    };
  }

  image(options: DecodeOptions): CheckpointImage {
    const head = this.required("HEAD");
    const headArch = this.required("HEAD_ARCH");
    const treeRecord = this.record("TREE");
    const pids = this.raw("pids");
    const tree = treeRecord && { record: treeRecord, ...(pids && { pids }) };
    const tasks = [this.task()];
    let tail = this.record("TAIL");
    while (tail === undefined) {
      tasks.push(this.task());
      tail = this.record("TAIL");
    }
    const { dialect, wordSize } = formatOfHead(head.fields, options);
    const end = tail.offset + tail.length;
    return {
      dialect,
      wordSize,
      start: head.offset,
      end,
      head,
      headArch,
      ...(tree && { tree }),
      tasks,
      tail,
      unknown: this.unknown,
      trailing: joinTrailing(this.#nodes),
      nodes: this.#nodes,
    };
  }
}

function joinTrailing(nodes: readonly ImageNode[]): Uint8Array {
  const parts = nodes.flatMap((node) => node.kind === "trailing" ? [node.bytes] : []);
  if (parts.length === 1 && parts[0] !== undefined) return parts[0];
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Builds the tree of an image from its nodes.
 *
 * @throws {MalformedImageError} E_ORDER when records are missing, doubled or in the wrong order
 */
export function imageOfNodes(nodes: readonly ImageNode[], options: DecodeOptions = {}): CheckpointImage {
  return new TreeBuilder(nodes).image(options);
}

/**
 * Decodes a whole image into a tree. Payloads and pages are views of `bytes`.
 *
 * @throws {MalformedImageError} when it cannot be decoded, or its records are not in the format's order
 */
export function readImage(bytes: Uint8Array, options: DecodeOptions = {}): CheckpointImage {
  return imageOfNodes([...decodeBytes(bytes, options)], options);
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

/** The pages of one chunk. */
export function* chunkPages(pages: PagesNode): Generator<PageImage, void, void> {
  for (let i = 0; i < pages.count; i++) {
    yield {
      vaddr: pages.vaddrs[i] ?? 0n,
      bytes: pages.pages.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE),
      offset: pages.pagesOffset + i * PAGE_SIZE,
    };
  }
}

/** The pages of a VMA in the image's order. */
export function* vmaPages(vma: VmaImage): Generator<PageImage, void, void> {
  for (const { pages } of vma.chunks) {
    if (pages !== undefined) yield* chunkPages(pages);
  }
}

/** How many pages of a VMA the image holds. */
export function vmaPageTotal(vma: VmaImage): number {
  return vma.chunks.reduce((sum, { pages }) => sum + (pages?.count ?? 0), 0);
}
