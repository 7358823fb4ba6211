// SPDX-License-Identifier: MIT
import { PAGE_SIZE } from "../abi/arch.ts";
import type { CheckpointImage } from "./image.ts";
import type { ImageNode, PagesNode, RecordNode } from "./nodes.ts";
import { PIDS, RECORD_HEADER } from "./structs.ts";
import { isStruct, type RecordDesc, RECORDS } from "./records.ts";
import { dataView, writeStruct } from "./struct_codec.ts";

const HEADER_SIZE = RECORD_HEADER.size;

/** Bytes that a node takes, computed from what it holds (not from its `length`). */
export function encodedLength(node: ImageNode): number {
  switch (node.kind) {
    case "record": {
      const { payload }: RecordDesc = RECORDS[node.name];
      return HEADER_SIZE + (isStruct(payload) ? payload.size : node.payload.length);
    }
    case "unknown":
      return HEADER_SIZE + node.payload.length;
    case "pages":
      return node.vaddrs.length * node.wordSize + node.pages.length;
    case "pids":
      return node.entries.length * PIDS.size;
    default:
      return node.bytes.length;
  }
}

function encodeRecord(node: RecordNode, out: Uint8Array): void {
  const view = dataView(out);
  writeStruct(RECORD_HEADER, { ...node.header }, view);
  const { payload }: RecordDesc = RECORDS[node.name];
  if (isStruct(payload)) writeStruct(payload, node.fields, view, HEADER_SIZE);
  else out.set(node.payload, HEADER_SIZE);
}

function encodePages(node: PagesNode, out: Uint8Array): void {
  const { vaddrs, wordSize, pages } = node;
  if (pages.length !== vaddrs.length * PAGE_SIZE) {
    throw new RangeError(
      `${node.path}: ${vaddrs.length} addresses need ${vaddrs.length} pages, not ${pages.length} bytes`,
    );
  }
  const view = dataView(out);
  vaddrs.forEach((vaddr, i) => {
    if (wordSize === 8) view.setBigUint64(8 * i, vaddr, true);
    else if (vaddr > 0xffff_ffffn) {
      throw new RangeError(`${node.path}: 0x${vaddr.toString(16)} needs 8 bytes, not 4`);
    } else view.setUint32(4 * i, Number(vaddr), true);
  });
  out.set(pages, vaddrs.length * wordSize);
}

/**
 * Encodes one node into `out`, which has exactly {@linkcode encodedLength} bytes. Structs are written from
 * their fields, so that a changed field changes the image; lengths in headers are written as they stand.
 */
export function encodeNode(node: ImageNode, out: Uint8Array): void {
  switch (node.kind) {
    case "record":
      return encodeRecord(node, out);
    case "unknown":
      writeStruct(RECORD_HEADER, { ...node.header }, dataView(out));
      return out.set(node.payload, HEADER_SIZE);
    case "pages":
      return encodePages(node, out);
    case "pids":
      return node.entries.forEach((entry, i) =>
        writeStruct(PIDS, { ...entry }, dataView(out), i * PIDS.size)
      );
    default:
      return out.set(node.bytes);
  }
}

/**
 * Encodes an image. What {@linkcode readImage} or {@linkcode decodeBytes} made comes out as the same bytes.
 *
 * @param image an image, or nodes in order
 * @throws {TypeError} {RangeError} for a field that cannot hold its value
 */
export function encode(image: CheckpointImage | Iterable<ImageNode>): Uint8Array {
  const nodes = [..."nodes" in image ? image.nodes : image];
  const out = new Uint8Array(nodes.reduce((sum, node) => sum + encodedLength(node), 0));
  let at = 0;
  for (const node of nodes) {
    const end = at + encodedLength(node);
    encodeNode(node, out.subarray(at, end));
    at = end;
  }
  return out;
}
