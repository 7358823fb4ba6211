// SPDX-License-Identifier: MIT
import { PAGE_SIZE } from "../../abi/arch.ts";
import type { FormatOptions } from "../dialect.ts";
import type { ImageNode, PagesNode } from "../nodes.ts";
import { ImageOutline, type MappingOutline } from "../outline.ts";

/** A page that an image holds. Its contents are there until the next one is asked for. */
export interface HeldPage {
  readonly task: number;
  readonly vaddr: bigint;
  readonly mapping: MappingOutline;
  /** 4096 bytes: a view. */
  readonly bytes: Uint8Array;
  /** Byte offset of the contents in the file. */
  readonly offset: number;
}

/** A page that one of two images holds, or both. */
interface PagePair {
  readonly a?: HeldPage;
  readonly b?: HeldPage;
}

/** Reads an image from page to page, and collects all else on the way. */
class PageCursor {
  readonly outline: ImageOutline;
  readonly #nodes: AsyncIterator<ImageNode>;
  #pages: PagesNode | undefined;
  #index = 0;
  page: HeldPage | undefined;

  constructor(nodes: AsyncIterable<ImageNode>, options: FormatOptions) {
    this.outline = new ImageOutline(options);
    this.#nodes = nodes[Symbol.asyncIterator]();
  }

  /** Whether the next page is in the chunk that is held; else it must be waited for. */
  step(): boolean {
    const [pages, mapping] = [this.#pages, this.outline.mapping];
    if (!pages || !mapping || ++this.#index >= pages.count) return false;
    this.page = this.#pageAt(pages, mapping);
    return true;
  }

  async advance(): Promise<void> {
    for (;;) {
      const { done, value: node } = await this.#nodes.next();
      if (done) return void (this.page = undefined);
      this.outline.visit(node);
      const mapping = this.outline.mapping;
      if (node.kind !== "pages" || node.count === 0 || !mapping) continue;
      [this.#pages, this.#index] = [node, 0];
      return void (this.page = this.#pageAt(node, mapping));
    }
  }

  #pageAt({ vaddrs, pages, pagesOffset }: PagesNode, mapping: MappingOutline): HeldPage {
    const at = this.#index * PAGE_SIZE;
    return {
      ...{ task: this.outline.tasks.length - 1, vaddr: vaddrs[this.#index]!, mapping },
      ...{ bytes: pages.subarray(at, at + PAGE_SIZE), offset: pagesOffset + at },
    };
  }
}

/**
 * Reads two images side by side, a chunk of each at a time: their pages ascend, so that those of one address meet. In
 * a broken image whose pages do not ascend, a page may count as one that went and one that came.
 *
 * @param onPages is called for each address at which one of them has a page
 * @throws {MalformedImageError} when one of them cannot be decoded
 */
export async function mergePages(
  [a, b]: readonly [AsyncIterable<ImageNode>, AsyncIterable<ImageNode>],
  options: FormatOptions,
  onPages: (pair: PagePair) => void,
): Promise<[ImageOutline, ImageOutline]> {
  const [left, right] = [new PageCursor(a, options), new PageCursor(b, options)];
  await left.advance();
  await right.advance();
  while (left.page || right.page) {
    const order = compare(left.page, right.page);
    onPages({ ...order <= 0 && { a: left.page! }, ...order >= 0 && { b: right.page! } });
    if (order <= 0 && !left.step()) await left.advance();
    if (order >= 0 && !right.step()) await right.advance();
  }
  return [left.outline, right.outline];
}

function compare(a: HeldPage | undefined, b: HeldPage | undefined): number {
  if (!a || !b) return a ? -1 : 1;
  if (a.task !== b.task) return a.task - b.task;
  return a.vaddr < b.vaddr ? -1 : Number(a.vaddr > b.vaddr);
}
