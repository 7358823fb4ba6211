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

/** Reads nodes one by one and builds the tree. */
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

  /** Raw bytes under their name, where there are any. */
  #raw<K extends RawNode["kind"]>(kind: K): { readonly [Kind in K]?: Extract<RawNode, { kind: Kind }> } {
    const node = this.#peek();
    if (node?.kind !== kind) return {};
    this.#at++;
    return { [kind]: node } as { readonly [Kind in K]?: Extract<RawNode, { kind: Kind }> };
  }

  #vma(record: RecordNodeOf<"VMA">): VmaImage {
    const fname = this.#record("FNAME");
    const chunks: ChunkImage[] = [];
    for (;;) {
      const pgarr = this.#required("PGARR");
      const pages = this.#raw("pages");
      if (pgarr.fields.nr_pages === 0n) return { record, ...fname && { fname }, chunks, endRecord: pgarr };
      chunks.push({ record: pgarr, ...pages });
    }
  }

  #files(): { readonly files?: NonNullable<TaskImage["files"]> } {
    const record = this.#record("FILES");
    if (record === undefined) return {};
    const entries: FileImage[] = [];
    for (let entry = this.#record("FD_ENT"); entry !== undefined; entry = this.#record("FD_ENT")) {
      const data = this.#record("FD_DATA");
      const fname = this.#record("FNAME");
      entries.push({ entry, ...data && { data }, ...fname && { fname } });
    }
    return { files: { record, entries } };
  }

  #task(): TaskImage {
    const task = this.#required("TASK");
    const comm = this.#required("STRING");
    const mm = this.#required("MM");
    const vmas: VmaImage[] = [];
    for (let vma = this.#record("VMA"); vma !== undefined; vma = this.#record("VMA")) {
      vmas.push(this.#vma(vma));
    }
    const mmContext = this.#required("MM_CONTEXT");
    const ldt = this.#raw("ldt");
    const files = this.#files();
    const thread = this.#required("THREAD");
    const tls = this.#raw("tls");
    const cpu = this.#required("CPU");
    const xstate = this.#raw("xstate");
    const fsgsbase = this.#record("X86_FSGSBASE");
    return {
      ...{ task, comm, mm, vmas, mmContext, thread, cpu },
      ...{ ...ldt, ...files, ...tls, ...xstate, ...fsgsbase && { fsgsbase } },
    };
  }

  image(options: DecodeOptions): CheckpointImage {
    const head = this.#required("HEAD");
    const headArch = this.#required("HEAD_ARCH");
    const record = this.#record("TREE");
    const tree = record && { tree: { record, ...this.#raw("pids") } };
    const tasks = [this.#task()];
    let tail = this.#record("TAIL");
    while (tail === undefined) {
      tasks.push(this.#task());
      tail = this.#record("TAIL");
    }
    return {
      ...formatOfHead(head.fields, options),
      head,
      headArch,
      ...tree,
      tasks,
      tail,
      nodes: this.#nodes,
    };
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
  for (const { pages } of vma.chunks) {
    for (let i = 0; i < (pages?.count ?? 0); i++) yield pageOf(pages!, i);
  }
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
