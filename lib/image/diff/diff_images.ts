// SPDX-License-Identifier: MIT
import { PAGE_SIZE } from "../../abi/arch.ts";
import { firstDifference, hex, hexBytes } from "../../bytes.ts";
import type { FormatOptions } from "../dialect.ts";
import type { ImageNode } from "../nodes.ts";
import { mappingLabel, type MappingOutline } from "../outline.ts";
import { diffOutlines, type ImageDifference } from "./diff_outlines.ts";
import { type HeldPage, mergePages } from "./page_merge.ts";

/** How the pages of one mapping differ. */
export interface AreaDifference {
  /** Which task, counted from 0. */
  readonly task: number;
  /** First and last address, and its name: of the second image where both have the page. */
  readonly area: string;
  /** Pages with the same contents. */
  same: number;
  /** Pages with other contents. */
  changed: number;
  /** Pages that the first image alone has. */
  onlyA: number;
  /** Pages that the second image alone has. */
  onlyB: number;
}

/** How the contents of one page differ. */
export interface PageDifference {
  /** Which task, counted from 0. */
  readonly task: number;
  /** Address of the first byte that differs. */
  readonly address: string;
  /** How many bytes of the page differ. */
  readonly bytes: number;
  /** Byte offset of that byte in each file. */
  readonly offsets: { readonly a: number; readonly b: number };
  /** Up to 16 bytes from there on. */
  readonly a: string;
  /** The same of the second image. */
  readonly b: string;
}

/** What two images differ in. */
export interface ImageDiff {
  /** Whether they are the same, to the last byte. */
  readonly isEqual: boolean;
  /** All but contents of pages. */
  readonly differences: readonly ImageDifference[];
  /** Mappings with pages that differ. */
  readonly areas: readonly AreaDifference[];
  /** The first pages with other contents: 64 at most. */
  readonly pages: readonly PageDifference[];
}

const MAX_PAGES = 64;
const BYTES_SHOWN = 16;

/**
 * Says what two images differ in. Of each, one chunk of pages is held at a time.
 *
 * @param images their parts, as {@linkcode decodeStream} gives them, with `reuseBuffers` if you like
 * @param options overrides of what the heads say, as the decoder had them
 * @throws {MalformedImageError} when one of them cannot be decoded
 */
export async function diffImages(
  images: readonly [AsyncIterable<ImageNode>, AsyncIterable<ImageNode>],
  options: FormatOptions = {},
): Promise<ImageDiff> {
  const pages: PageDifference[] = [];
  /** By task and first address: a mapping of both images is one area. */
  const byStart = new Map<string, AreaDifference>();
  const byMapping = new Map<MappingOutline, AreaDifference>();
  const areaOf = ({ task, mapping }: HeldPage): AreaDifference => {
    const known = byMapping.get(mapping);
    if (known) return known;
    const start = `${task} ${mapping.record.fields.vm_start}`;
    const area = byStart.get(start) ??
      { task, area: mappingLabel(mapping), same: 0, changed: 0, onlyA: 0, onlyB: 0 };
    byStart.set(start, area);
    byMapping.set(mapping, area);
    return area;
  };
  const outlines = await mergePages(images, options, ({ a, b }) => {
    const area = areaOf((b ?? a)!);
    if (!a || !b) return void area[a ? "onlyA" : "onlyB"]++;
    const first = firstDifference(a.bytes, b.bytes);
    area[first < 0 ? "same" : "changed"]++;
    if (first >= 0 && pages.length < MAX_PAGES) pages.push(pageDifference(a, b, first));
  });
  const differences = diffOutlines(...outlines);
  const areas = [...byStart.values()].filter((area) => area.changed + area.onlyA + area.onlyB > 0);
  return { isEqual: differences.length === 0 && areas.length === 0, differences, areas, pages };
}

function pageDifference(a: HeldPage, b: HeldPage, first: number): PageDifference {
  let bytes = 0;
  for (let at = first; at < PAGE_SIZE; at++) if (a.bytes[at] !== b.bytes[at]) bytes++;
  const shown = (page: HeldPage): string => hexBytes(page.bytes.subarray(first, first + BYTES_SHOWN));
  return {
    ...{ task: a.task, address: hex(a.vaddr + BigInt(first)), bytes, a: shown(a), b: shown(b) },
    offsets: { a: a.offset + first, b: b.offset + first },
  };
}
