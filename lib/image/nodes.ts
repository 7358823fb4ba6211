// SPDX-License-Identifier: MIT
import type { WordSize } from "../abi/arch.ts";
import type { RecordFields, RecordName } from "./records.ts";

/** What every part of an image has. The nodes of an image tile it: no gap, no overlap. */
export interface NodeBase {
  /** Where it starts, in bytes from the start of the file. */
  readonly offset: number;
  /** Its bytes, a record's header included. */
  readonly length: number;
  /** Its place, e.g. `task[0]/vma[3]/pgarr[1]`. */
  readonly path: string;
}

/** `struct cr_hdr`: number of the record type, bytes of the payload, what the record belongs to. */
export type RecordHeader = Readonly<Record<"type" | "len" | "parent", number>>;

/** A record, of a known type or not. */
export interface RecordBase<K extends "record" | "unknown"> extends NodeBase {
  /** Whether the type is known. */
  readonly kind: K;
  /** The header as it stands. */
  readonly header: RecordHeader;
  /** The payload as it lies in the image: a view. */
  readonly payload: Uint8Array;
}

/** A record of a known type. */
export interface RecordNodeOf<N extends RecordName> extends RecordBase<"record"> {
  /** The record type. */
  readonly name: N;
  /** Decoded payload under the C names of its fields; padding included. Empty for plain bytes. */
  readonly fields: RecordFields<N>;
}

/** A record of any known type; its name tells its fields. */
export type RecordNode = { [N in RecordName]: RecordNodeOf<N> }[RecordName];

/** An extension record (type 1001 and up) that this version does not know, skipped by its length. */
export type UnknownNode = RecordBase<"unknown">;

/** Bytes without a record header of their own. */
export interface BytesNode<K extends string> extends NodeBase {
  /** What they are. */
  readonly kind: K;
  /** All of them: a view. */
  readonly bytes: Uint8Array;
}

/** The raw page contents after a PGARR: addresses first, then pages. */
export interface PagesNode extends NodeBase {
  /** What the bytes are. */
  readonly kind: "pages";
  /** Bytes of an address. */
  readonly wordSize: WordSize;
  /** Number of pages. */
  readonly count: number;
  /** How `nr_pages` had to be read: pages of this chunk, or of the VMA up to here (v11 as posted). */
  readonly counted: "absolute" | "cumulative";
  /** Addresses of the pages, in the image's order. */
  readonly vaddrs: BigUint64Array;
  /** Where the first page's bytes start, from the start of the file. */
  readonly pagesOffset: number;
  /** Contents, 4096 bytes for each page: a view. */
  readonly pages: Uint8Array;
}

/** The raw descriptors after MM_CONTEXT, 8 bytes each. */
export type LdtNode = BytesNode<"ldt">;

/** The raw TLS descriptors after THREAD, 24 bytes: GDT slots 6 to 8 of i386, 12 to 14 of x86-64. */
export type TlsNode = BytesNode<"tls">;

/** The raw FPU state after CPU. */
export type XstateNode = BytesNode<"xstate">;

/** The raw table of ids after TREE, 16 bytes for each task. */
export interface PidsNode extends BytesNode<"pids"> {
  /** The table, decoded: pid, thread group, pid of the parent. */
  readonly entries: readonly Readonly<Record<"vpid" | "vtgid" | "vppid" | "_padding", number>>[];
}

/** Bytes after TAIL, which belong to no record. Long ones come as several nodes. */
export type TrailingNode = BytesNode<"trailing">;

/** Raw bytes that belong to the record before them. */
export type RawNode = PagesNode | LdtNode | TlsNode | XstateNode | PidsNode;

/** Any part of an image. */
export type ImageNode = RecordNode | UnknownNode | RawNode | TrailingNode;

/** Whether a node is a record of the given type. */
export function isRecord<N extends RecordName>(
  node: ImageNode | undefined,
  name: N,
): node is RecordNodeOf<N> & RecordNode {
  return node !== undefined && node.kind === "record" && node.name === name;
}
