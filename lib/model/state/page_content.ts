// SPDX-License-Identifier: MIT
import { hex } from "../../bytes.ts";
import { PAGE_SIZE } from "../../abi/arch.ts";

const WORDS_PER_PAGE = PAGE_SIZE / 4;
const STEP = 0x9e3779b1;

/** Mixes a seed and a page address to the first word of the page: 32 bits of each in, 32 bits out. */
export function mixSeed(seed: number, address: number): number {
  const low = address >>> 0;
  const high = Math.floor(address / 0x1_0000_0000) >>> 0;
  let x = Math.imul(low ^ Math.imul(high, STEP) ^ seed, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/**
 * The page that the target's fill writes at `address`: 1,024 little-endian words, word i = mixSeed + i * 0x9e3779b1.
 * Both sides compute it (the other is `vm/guest/target/target.c`), so no page travels just to be compared with.
 */
export function fillPage(seed: number, address: number): Uint8Array {
  const words = new Uint32Array(WORDS_PER_PAGE);
  let x = mixSeed(seed, address);
  for (let i = 0; i < WORDS_PER_PAGE; i++) {
    words[i] = x;
    x = (x + STEP) | 0;
  }
  // The hosts that Deno and browsers run on are little-endian, as x86 is.
  return new Uint8Array(words.buffer);
}

/** Where a page's bytes came from, before stores of single bytes. */
export type PageBase =
  | { readonly kind: "zeros" }
  | { readonly kind: "fill"; readonly seed: number; readonly address: number };

/** The content of one page as a history: a base and the stores on top of it. Immutable, so forks may share it. */
export interface PageContent {
  /** Where the bytes came from first. */
  readonly base: PageBase;
  /** What was stored on top, in order. */
  readonly stores: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

/** A page of zeros. */
export const ZERO_CONTENT: PageContent = { base: { kind: "zeros" }, stores: [] };

/** A page as {@linkcode fillPage} makes it. */
export function fillContent(seed: number, address: number): PageContent {
  return { base: { kind: "fill", seed, address }, stores: [] };
}

/** The same content with `bytes` stored at `offset`. */
export function withStore(content: PageContent, offset: number, bytes: Uint8Array): PageContent {
  return { base: content.base, stores: [...content.stores, { offset, bytes }] };
}

/** The 4,096 bytes of a content. */
export function contentBytes(content: PageContent): Uint8Array {
  const page = content.base.kind === "fill"
    ? fillPage(content.base.seed, content.base.address)
    : new Uint8Array(PAGE_SIZE);
  for (const { offset, bytes } of content.stores) page.set(bytes, offset);
  return page;
}

/** A few words that say what the content is, for a person who asks why. */
export function describeContent(content: PageContent): string {
  const base = content.base.kind === "zeros"
    ? "zeros"
    : `fill of seed ${hex(content.base.seed)} at ${hex(content.base.address)}`;
  const stores = content.stores.length;
  return stores === 0 ? base : `${base} and ${stores} store${stores === 1 ? "" : "s"}`;
}
