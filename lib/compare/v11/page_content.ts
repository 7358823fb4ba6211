// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";

/**
 * What the steps put into a page. Kept as how it came about, not as bytes: there may be thousands.
 * `seeded`: every little-endian word at place `base + offset` holds `(base + offset) ^ seed`, and the bytes
 * from `length` on are zero. Single bytes are changed by `pokes`.
 */
export interface PageContent {
  readonly base: number;
  readonly seed: number;
  readonly length: number;
  readonly pokes: ReadonlyMap<number, number>;
}

/** A page of zeros. */
export const ZERO_CONTENT: PageContent = { base: 0, seed: 0, length: 0, pokes: new Map() };

/** The content with one byte changed. */
export function pokedContent(content: PageContent, offset: number, byte: number): PageContent {
  return { ...content, pokes: new Map([...content.pokes, [offset, byte]]) };
}

/** The 4096 bytes. */
export function contentBytes({ base, seed, length, pokes }: PageContent): Uint8Array {
  const bytes = new Uint8Array(PAGE_SIZE);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < length; at += 4) view.setUint32(at, (base + at ^ seed) >>> 0, true);
  bytes.fill(0, length);
  for (const [offset, byte] of pokes) bytes[offset] = byte;
  return bytes;
}
