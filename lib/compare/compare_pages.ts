// SPDX-License-Identifier: MIT
import { abiOf, PAGE_SIZE, pagesPerChunk } from "../abi/arch.ts";
import type { Finding } from "../image/finding.ts";
import type { PagesNode, RecordNodeOf } from "../image/nodes.ts";
import { predictedBytes } from "../model/predict_stop.ts";
import { shownAddress } from "../model/state/page_set.ts";
import { decodeUserRegs } from "../x86/registers.ts";
import { blockHash } from "../abi/block_hash.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { type ExpectedPage, type ExpectedVma, isModelled } from "./expected_vma.ts";
import { expected } from "./finding_collector.ts";
import { nameOf } from "./proc_maps.ts";
import { hex, hexBytes } from "../bytes.ts";

const OWN_PAGES_OF_SELF = {
  name: "pages of the target's own program in a self checkpoint",
  reason: "its stack and variables went on changing until it stopped and could be looked at",
};

/** The few variables that change lie side by side in one page. */
const PAGES_OF_VARIABLES = 1;

/** A page of the image that the VMA has, and where its address stands. */
interface SeenPage {
  readonly page: number;
  readonly path: string;
  readonly offset: number;
}

/**
 * Compares the contents of one VMA: pages are matched by their addresses. Which are missing or too many is
 * said first; order and counts of chunks are judged by the pages that are there.
 */
export class PageComparison {
  readonly #context: ComparisonContext;
  readonly #vma: ExpectedVma;
  readonly #path: string;
  readonly #wanted: ReadonlyMap<number, ExpectedPage>;
  readonly #seen: SeenPage[] = [];
  readonly #records: RecordNodeOf<"PGARR">[] = [];
  readonly #pagesSeen = new Set<number>();
  /** Pages of the image in its order, those included that do not belong there. */
  readonly #all: number[] = [];
  #isExact = true;
  /** Pages of the program's variables that changed after a checkpoint of the target by itself. */
  #changedPages = 0;

  /** @param path of the VMA's record */
  constructor(context: ComparisonContext, vma: ExpectedVma, path: string) {
    this.#context = context;
    this.#vma = vma;
    this.#path = path;
    this.#wanted = new Map(vma.pages.map((page) => [page.page, page]));
  }

  /** PGARR: the number of pages in a chunk; judged when all chunks are known. */
  pgarr(node: RecordNodeOf<"PGARR">): void {
    this.#context.collector.header(node, 0);
    this.#records.push(node);
  }

  pages(node: PagesNode): void {
    const { collector, dialect } = this.#context;
    if (node.counted === "cumulative" && dialect === "port") {
      const place = { path: node.path.replace(/\/pages$/, ".nr_pages"), offset: node.offset - 8 };
      const message = "the count goes on from chunk to chunk: it must be that of this chunk alone";
      collector.report("E_CHUNK_COUNT", place, message, { expected: String(node.count) });
    }
    for (let i = 0; i < node.count; i++) {
      const address = node.vaddrs[i]!;
      const page = Number(address / BigInt(PAGE_SIZE));
      const place = { page, path: `${node.path}/vaddr[${i}]`, offset: node.offset + i * node.wordSize };
      const wanted = address % BigInt(PAGE_SIZE) === 0n ? this.#wanted.get(page) : undefined;
      this.#all.push(page);
      if (!wanted || this.#pagesSeen.has(page)) {
        const message = wanted ? "the page is in the image twice" : this.#whyExtra(page);
        collector.report("E_PAGE_EXTRA", place, message, { actual: hex(address) });
        collector.coverage.claimTold(place.offset, node.wordSize);
        collector.coverage.claimTold(node.pagesOffset + i * PAGE_SIZE, PAGE_SIZE);
        this.#isExact = false;
        continue;
      }
      collector.coverage.claim(place.offset, node.wordSize, wanted.predicted ? "steps" : "pagemap");
      this.#pagesSeen.add(page);
      this.#seen.push(place);
      this.#page(node, i, wanted);
    }
  }

  #whyExtra(page: number): string {
    if (page < this.#vma.start || page >= this.#vma.end) return "the page lies outside its VMA";
    const entry = this.#context.target.pagemap.find((candidate) => candidate.page === page);
    if (!entry) return "the page was never touched";
    if (entry.file || entry.isCut) return "the page is the file's own, clean";
    return "the page is the zero page: it was only read";
  }

  #page(node: PagesNode, i: number, wanted: ExpectedPage): void {
    const { collector } = this.#context;
    const offset = node.pagesOffset + i * PAGE_SIZE;
    const bytes = node.pages.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE);
    const path = `${node.path}/page[${shownAddress(wanted.page)}]`;
    if (wanted.knownError) collector.note(wanted.knownError.id, wanted.knownError.message);
    if (!wanted.predicted) return this.#observedPage({ bytes, path, offset }, wanted);
    const predicted = predictedBytes(wanted.predicted);
    this.#checkMemory(wanted.page, predicted);
    collector.bytes({ path }, offset, bytes, {
      ...{ bytes: predicted, by: "steps", id: "E_PAGE_BYTES" },
      what: `the page (${wanted.predicted.why})`,
    });
  }

  /** What the steps imply is in the target's memory, where the host saw that. */
  #checkMemory(page: number, predicted: Uint8Array): void {
    const hash = this.#context.target.pageHashes.get(page);
    if (hash === undefined) return;
    const message = "the target's memory after the call is not what the steps imply";
    const expected = `hash ${hex(blockHash(predicted), 16)}`;
    this.#context.collector.agree(`page ${shownAddress(page)}`, message, {
      ...{ expected, actual: `hash ${hex(hash, 16)}` },
    });
  }

  /** A page that no step made: its digest is that of the target's memory. */
  #observedPage(
    { bytes, path, offset }: { bytes: Uint8Array; path: string; offset: number },
    wanted: ExpectedPage,
  ): void {
    const { collector, target } = this.#context;
    for (const { offset: at, bytes: written } of wanted.written ?? []) {
      collector.bytes({ path }, offset + at, bytes.subarray(at, at + written.length), {
        ...{ bytes: written, by: "steps", id: "E_PAGE_BYTES", what: "what a debugger wrote" },
      });
    }
    const hash = target.pageHashes.get(wanted.page);
    const actual = blockHash(bytes);
    const isEqual = hash === actual;
    if (hash !== undefined && !isEqual && this.#goesOnChanging(wanted.page)) {
      return collector.coverage.claimVolatile(offset, PAGE_SIZE, OWN_PAGES_OF_SELF);
    }
    collector.coverage.claim(offset, PAGE_SIZE, "memory");
    if (isEqual) return;
    const [message, expected] = hash === undefined
      ? ["the target's memory has no such page", "a page"]
      : ["the page differs from the target's memory", `hash ${hex(hash, 16)}`];
    const shown = `hash ${hex(actual, 16)}, first bytes ${hexBytes(bytes.subarray(0, 16))}`;
    collector.report("E_PAGE_BYTES", { path, offset }, message, { expected, actual: shown });
  }

  /**
   * Whether the target writes to a page between a checkpoint of its own and its stop: the page of the program's
   * variables in which it keeps count, which is none of the scratch memory, and the part of the stack that is in use.
   */
  #goesOnChanging(page: number): boolean {
    const { self, target, arch } = this.#context;
    if (!self) return false;
    const at = BigInt(page) * BigInt(PAGE_SIZE);
    if (nameOf(this.#vma.entry) !== "[stack]") {
      const isMade = this.#vma.areas.some(({ start, end }) => start <= page && page < end);
      const isScratch = at >= self.scratch.start && at < self.scratch.end;
      return !isMade && !isScratch && this.#changedPages++ < PAGES_OF_VARIABLES;
    }
    const registers = decodeUserRegs(target.gpr, arch === "x86_64" ? "x86_64" : "i386");
    return at >= registers.get("sp")! - BigInt(PAGE_SIZE);
  }

  /**
   * The VMA's contents are over.
   *
   * @param isWhole false where the image breaks off: what is not there, or not counted, follows from that
   */
  end(isWhole: boolean): void {
    if (isWhole) this.#reportMissing();
    this.#reportOrder();
    this.#checkCounts(isWhole);
  }

  #reportMissing(): void {
    const toCome = this.#pagesToCome();
    const required = toCome.filter(({ isOptional }) => !isOptional);
    for (const missing of required) if (!this.#pagesSeen.has(missing.page)) this.#reportPage(missing);
    const refused = this.#vma.pages.slice(toCome.length).filter(({ page }) => this.#pagesSeen.has(page));
    if (refused.length > 0) {
      const values = { expected: `${toCome.length} pages`, actual: `${refused.length} more` };
      this.#report("E_PAGE_REFUSED", "a page that cannot be read, or one after it, was written", values);
    }
    const optional = this.#vma.pages.filter(({ page, isOptional }) =>
      isOptional && this.#pagesSeen.has(page)
    );
    if (optional.length === this.#vma.optional) return;
    const id = optional.length < this.#vma.optional ? "E_PAGE_MISSING" : "E_PAGE_EXTRA";
    const values = { expected: String(this.#vma.optional), actual: String(optional.length) };
    this.#report(id, "smaps shows another number of copied pages than the image has", values);
  }

  #report(id: string, message: string, values: Pick<Finding, "expected" | "actual">): void {
    this.#context.collector.report(id, { path: this.#path }, message, values);
  }

  #reportPage({ page, predicted }: ExpectedPage): void {
    this.#isExact = false;
    const why = predicted ? ` (${predicted.why})` : ", though pagemap shows contents of its own";
    this.#report("E_PAGE_MISSING", `the page is not in the image${why}`, { expected: shownAddress(page) });
  }

  /** The pages of a VMA that the image must hold: a chunk with a page that cannot be read never comes. */
  #pagesToCome(): readonly ExpectedPage[] {
    const { start, end, pages } = this.#vma;
    const unreadable = this.#context.prediction?.refusal?.page;
    if (unreadable === undefined || unreadable < start || unreadable >= end) return pages;
    const before = pages.filter(({ page }) => page < unreadable).length;
    return pages.slice(0, before - before % pagesPerChunk(abiOf(this.#context.arch).wordSize));
  }

  /** Pages come in ascending order; one that does not is told, not all that follow it. */
  #reportOrder(): void {
    this.#seen.forEach(({ page, ...place }, i) => {
      const before = this.#seen[i - 1];
      if (before === undefined || before.page < page) return;
      const shown = shownAddress(before.page);
      const message = `the page belongs before ${shown}, which the image has in front of it`;
      this.#context.collector.report("E_PAGE_ORDER", place, message, { actual: shownAddress(page) });
    });
  }

  /** Every chunk is full but the last; then comes a count of 0. */
  #checkCounts(isWhole: boolean): void {
    const { collector, prediction } = this.#context;
    // With a page missing or too many, the counts are those of the pages that are there.
    const isAsExpected = this.#isExact && this.#vma.optional === 0;
    const pages = isAsExpected ? this.#pagesToCome().map(({ page }) => page) : this.#all;
    const counts = chunkCounts(pages, this.#vma.end, this.#context);
    const by = prediction && isModelled(this.#vma) ? "steps" : "pagemap";
    this.#records.forEach((node, i) => {
      const count = isWhole ? BigInt(counts[i] ?? 0) : node.fields.nr_pages;
      collector.fields(node, { nr_pages: expected(count, by) });
    });
  }
}

/**
 * `nr_pages` of the chunks of a VMA, the 0 that ends them left out. The port fills each chunk but the last.
 * The code as posted never resets its count: after a first full chunk each array of addresses is a chunk, and
 * clean pages at the end of the VMA give one more count with no pages.
 *
 * @param pages numbers of the pages, ascending
 * @param end number of the first page after the VMA
 */
export function chunkCounts(
  pages: readonly number[],
  end: number,
  { dialect, arch }: Pick<ComparisonContext, "dialect" | "arch">,
): number[] {
  const perChunk = pagesPerChunk(abiOf(arch).wordSize);
  if (dialect === "port") {
    const chunks = Math.ceil(pages.length / perChunk);
    return Array.from({ length: chunks }, (_, i) => Math.min(perChunk, pages.length - i * perChunk));
  }
  const counts: number[] = [];
  let done = 0;
  for (let isOver = false; !isOver;) {
    const most = done < perChunk ? perChunk : perChunk / 4;
    const count = Math.min(most, pages.length - done);
    done += count;
    isOver = count < most || pages[done - 1] === end - 1;
    if (done > 0) counts.push(done);
  }
  return counts;
}
