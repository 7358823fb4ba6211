// SPDX-License-Identifier: MIT

import { readNodes } from "../lib/image/image.ts";
import type { ImageNode, RecordNode } from "../lib/image/nodes.ts";
import { isStruct, RECORDS } from "../lib/image/records.ts";

/** One changed bit of an image, and what it belongs to. */
export interface Damage {
  /** Path of the record, and the field; what the finding must name. */
  readonly path: string;
  readonly offset: number;
  readonly mask: number;
}

const HEADER_SIZE = 8;
const PAGE_SIZE = 4096;

/** Where a field may hold several values, the place at which it may not: the byte, and the bit. */
const CERTAIN: Readonly<Record<string, readonly [byte: number, mask: number]>> = {
  "HEAD.time": [3, 0x10],
  "CPU.flags": [1, 0x02],
  "CPU.sp": [2, 0x10],
};

/** A damage to each kind of part that an image has: a field of a record, or its header and all fields, or raw bytes. */
export function damagesTo(image: Uint8Array, { everyField }: { everyField: boolean }): Damage[] {
  const kinds = new Map<string, ImageNode>();
  for (const node of readNodes(image, { dialect: "v11" }).nodes) {
    const kind = node.kind === "record" ? node.name : node.kind;
    if (!kinds.has(kind)) kinds.set(kind, node);
  }
  return [...kinds.values()].flatMap((node) => {
    if (node.kind !== "record") return rawDamages(node);
    const fields = fieldDamages(node);
    const parent = { path: `${node.path}.parent`, offset: node.offset + 4, mask: 0x10 };
    return everyField ? [parent, ...fields] : [fields[Math.floor(fields.length / 2)]!];
  });
}

function fieldDamages(node: RecordNode): Damage[] {
  const { payload } = RECORDS[node.name];
  const start = node.offset + HEADER_SIZE;
  if (!isStruct(payload)) return [{ path: node.path, offset: start, mask: 0x10 }];
  return payload.fields.map(({ name, offset }) => {
    const [byte, mask] = CERTAIN[`${node.name}.${name}`] ?? [0, 0x10];
    return { path: `${node.path}.${name}`, offset: start + offset + byte, mask };
  });
}

/** A bit in the middle; of pages in an address. */
function rawDamages({ kind, path, offset, length }: ImageNode): Damage[] {
  return [{ path, offset: offset + (kind === "pages" ? 1 : length >> 1), mask: 0x10 }];
}

/** A damage to each page of an image, or to so many of them. */
export function pageDamages(image: Uint8Array, most: number): Damage[] {
  const damages: Damage[] = [];
  for (const node of readNodes(image, { dialect: "v11" }).nodes) {
    if (node.kind !== "pages") continue;
    for (let i = 0; i < node.count && damages.length < most; i++) {
      damages.push({ path: node.path, offset: node.pagesOffset + i * PAGE_SIZE + 2000, mask: 0x10 });
    }
  }
  return damages;
}

/** Carries something out while one bit of the image is another. */
export async function whileDamaged<T>(
  image: Uint8Array,
  { offset, mask }: Damage,
  run: () => Promise<T>,
): Promise<T> {
  image[offset]! ^= mask;
  try {
    return await run();
  } finally {
    image[offset]! ^= mask;
  }
}
