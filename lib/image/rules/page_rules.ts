// SPDX-License-Identifier: MIT
import { PAGE_SIZE, pagesPerChunk } from "../../abi/arch.ts";
import type { PagesNode, RecordNode, RecordNodeOf } from "../nodes.ts";
import type { RuleId } from "../rule_ids.ts";
import type { RuleContext } from "./rule_context.ts";
import { hex } from "../../bytes.ts";

const PAGE_MASK = BigInt(PAGE_SIZE - 1);

/** A chunk that waits for what follows it: only then it is known whether it is the last of its VMA. */
interface Chunk {
  readonly record: RecordNodeOf<"PGARR">;
  pages: PagesNode | undefined;
}

/** Judges the page-array chunks of each VMA. */
export class PageRules {
  readonly #context: RuleContext;
  /** The last chunk, and the one before as long as nothing is known of the last one but its header. */
  #chunks: Chunk[] = [];
  #index = 0;
  #last = -1n;

  constructor(context: RuleContext) {
    this.#context = context;
  }

  visit(node: RecordNode): void {
    const isEnd = node.name === "PGARR" && node.fields.nr_pages === 0n;
    if (isEnd || node.name === "VMA" || node.name === "MM_CONTEXT") this.#flush(true);
    if (node.name === "VMA") this.#index = 0;
    if (isEnd || node.name === "VMA") this.#last = -1n;
    if (node.name !== "PGARR" || isEnd) return;
    if (this.#chunks.length === 2) this.#judge(this.#chunks.shift()!, false);
    this.#chunks.push({ record: node, pages: undefined });
  }

  pages(node: PagesNode): void {
    const chunk = this.#chunks.at(-1);
    if (chunk !== undefined) chunk.pages = node;
    if (this.#chunks.length === 2) this.#judge(this.#chunks.shift()!, false);
    this.#checkAddresses(node);
    const vma = this.#context.task.vma;
    const device = this.#context.flags?.bits;
    if (vma === undefined || device === undefined) return;
    if ((vma.fields.vm_flags & ((device.IO ?? 0n) | (device.PFNMAP ?? 0n))) !== 0n) {
      this.#context.report("E_PAGE_SPECIAL", node, { expected: "no pages", actual: String(node.count) });
    }
  }

  /** The image is over. `isCut`: then nothing tells whether a chunk was the last one. */
  finish(isCut: boolean): void {
    this.#flush(isCut ? undefined : true);
  }

  #flush(isLast: true | undefined): void {
    const chunks = this.#chunks.splice(0);
    // A header that could not be read any further says nothing of the chunk before.
    const isNext = isLast === undefined && chunks.at(-1)?.pages === undefined ? undefined : false;
    chunks.forEach((chunk, i) => this.#judge(chunk, i === chunks.length - 1 ? isLast : isNext));
  }

  #checkAddresses(node: PagesNode): void {
    const { vaddrs, wordSize } = node;
    const { vm_start: start, vm_end: end } = this.#context.task.vma?.fields ?? { vm_start: 0n, vm_end: 0n };
    const wrong = (id: RuleId, i: number, what: string, expected: string): void => {
      const message = `address of page ${i} is ${what}`;
      this.#context.report(id, node, { message, expected, actual: hex(vaddrs[i] ?? 0n), at: i * wordSize });
    };
    let last = this.#last;
    for (let i = 0; i < vaddrs.length; i++) {
      const address = vaddrs[i] ?? 0n;
      if ((address & PAGE_MASK) !== 0n) {
        wrong("E_PAGE_ALIGN", i, "not on a page boundary", "a multiple of 0x1000");
      }
      if (address < start || address >= end) {
        wrong("E_PAGE_RANGE", i, "outside the VMA", `${hex(start)} to ${hex(end - 1n)}`);
      }
      if (address <= last) wrong("E_PAGE_ORDER", i, "not above the one before", `above ${hex(last)}`);
      last = address;
    }
    this.#last = last;
  }

  /** Judges a chunk. A header without pages at the end of a cut image tells nothing. */
  #judge({ record, pages }: Chunk, isLast: boolean | undefined): void {
    if (isLast === undefined && pages === undefined) return;
    const count = pages?.count ?? 0;
    const isFirst = this.#index++ === 0;
    const { isPort, format } = this.#context;
    // The decoder gives no pages where the difference to the chunk before is 0.
    const isCumulative = !isFirst && pages?.counted !== "absolute";
    const values = { actual: `nr_pages ${record.fields.nr_pages}, ${count} pages follow` };
    if (isCumulative === isPort && !isFirst) {
      const message = isPort
        ? "nr_pages is cumulative: it counts the chunks before, too"
        : "nr_pages is not cumulative: not as posted";
      return this.#wrongSize(record, message, { expected: String(count), ...values });
    }
    if (!isPort && count === 0) {
      this.#context.report("N_EMPTY_CHUNK", record, values);
    } else if (isCumulative) {
      this.#context.reportField("N_NR_PAGES_CUMULATIVE", record, "nr_pages", values);
    }
    // As posted, the count that decides when to write a chunk is never reset: after a full first chunk each array
    // of one page of addresses is written by itself, and an empty chunk ends a VMA with a clean tail.
    const { wordSize } = format;
    const full = isPort || isFirst ? pagesPerChunk(wordSize) : PAGE_SIZE / wordSize;
    const actual = String(count);
    if (count > full) {
      this.#wrongSize(record, "chunk too large", { expected: `at most ${full} pages`, actual });
    } else if (isLast === false && count < full) {
      const message = "not full, though not the last chunk of the VMA";
      this.#wrongSize(record, message, { expected: `${full} pages`, actual });
    }
  }

  #wrongSize(
    record: RecordNodeOf<"PGARR">,
    message: string,
    values: { expected: string; actual: string },
  ): void {
    this.#context.reportField("E_CHUNK_SIZE", record, "nr_pages", { message, ...values });
  }
}
