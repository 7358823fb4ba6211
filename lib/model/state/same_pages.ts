// SPDX-License-Identifier: MIT

import type { AddressSpace } from "./address_space.ts";
import { contentBytes, type PageContent } from "./page_content.ts";
import { VM } from "../../abi/vm_flags.ts";

/**
 * The groups of pages that ksmd makes one page of: those of mergeable areas with equal contents. A group of
 * pages of zeros is left out where ksmd maps the zero page for them.
 */
export function mergeablePages(space: AddressSpace): number[][] {
  const groups = new Map<string, number[]>();
  for (const [page, { content, swapped }] of space.pages) {
    if (swapped || ((space.areaAt(page)?.flags ?? 0n) & VM.MERGEABLE) === 0n) continue;
    const key = contentKey(content);
    const group = groups.get(key);
    if (group) group.push(page);
    else groups.set(key, [page]);
  }
  return [...groups.values()].filter((group) => group.length > 1).map((group) => group.sort((a, b) => a - b));
}

/** The pages of mergeable areas that hold nothing but zeros: ksmd drops them with use_zero_pages. */
export function zeroPages(space: AddressSpace): number[] {
  return [...space.pages.entries()].filter(([page, { content, swapped }]) =>
    !swapped && ((space.areaAt(page)?.flags ?? 0n) & VM.MERGEABLE) !== 0n && isZero(content)
  ).map(([page]) => page);
}

function isZero(content: PageContent): boolean {
  return content.base.kind === "zeros" && contentBytes(content).every((byte) => byte === 0);
}

/**
 * Equal for equal pages, and different for most others: pages that came about in different ways are not compared.
 */
function contentKey({ base, stores }: PageContent): string {
  const start = base.kind === "zeros" ? "0" : `${base.seed}@${base.address}`;
  return [start, ...stores.map(({ offset, bytes }) => `${offset}=${bytes.join(".")}`)].join(" ");
}
