// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { PAGE_SIZE } from "../abi/arch.ts";
import { blockHash } from "../abi/block_hash.ts";
import type { PagesNode, RecordNodeOf } from "../image/nodes.ts";
import type { StopPrediction } from "../model/predict_stop.ts";
import { PageComparison } from "./compare_pages.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import type { ExpectedVma } from "./expected_vma.ts";
import { FindingCollector } from "./finding_collector.ts";

const START = 0x10000;
const PER_CHUNK = 2048;
const PAGES = 2 * PER_CHUNK + 300;
/** The contents of a full chunk. */
const ZEROS = new Uint8Array(PER_CHUNK * PAGE_SIZE);
const HASH = blockHash(new Uint8Array(PAGE_SIZE));

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => START + i);
}

/** What is found where these pages come and all of the VMA, or those given, belong there. All of them hold zeros. */
function findings(
  given: readonly number[],
  { wanted = upTo(PAGES), prediction, counts }: {
    wanted?: readonly number[];
    prediction?: Pick<StopPrediction, "refusal">;
    /** What the records say; what follows them when left out. */
    counts?: readonly number[];
  } = {},
): string[] {
  const chunks = Array.from(
    { length: Math.ceil(given.length / PER_CHUNK) },
    (_, i) => given.slice(i * PER_CHUNK, (i + 1) * PER_CHUNK),
  );
  const collector = new FindingCollector(given.length * (PAGE_SIZE + 8) + chunks.length * 16 + 16);
  const target = { pageHashes: new Map(upTo(PAGES).map((page) => [page, HASH])), pagemap: [] };
  const context = { collector, dialect: "port", arch: "x86_64", target, prediction };
  const pages = wanted.map((page) => ({ page, predicted: undefined }));
  const vma = { start: START, end: START + PAGES, pages, areas: [], optional: 0, entry: { path: "" } };
  const comparison = new PageComparison(
    context as unknown as ComparisonContext,
    vma as unknown as ExpectedVma,
    "vma[0]",
  );
  let offset = 0;
  [...chunks, []].forEach((chunk, i) => {
    const path = `vma[0]/pgarr[${i}]`;
    comparison.pgarr(record(path, offset, counts?.[i] ?? chunk.length));
    offset += 16;
    comparison.pages(pagesNode(`${path}/pages`, offset, chunk));
    offset += chunk.length * (PAGE_SIZE + 8);
  });
  comparison.end(true);
  return collector.findings.map(({ id, path, message }) => `${id} ${path}: ${message}`);
}

function record(path: string, offset: number, count: number): RecordNodeOf<"PGARR"> {
  return {
    ...{ kind: "record", name: "PGARR", path, offset, length: 16, payload: new Uint8Array(8) },
    ...{ header: { type: 203, len: 8, parent: 0 }, fields: { nr_pages: BigInt(count) } },
  };
}

function pagesNode(path: string, offset: number, numbers: readonly number[]): PagesNode {
  const count = numbers.length;
  return {
    ...{ kind: "pages", path, offset, wordSize: 8, count, counted: "absolute" },
    length: count * (PAGE_SIZE + 8),
    vaddrs: BigUint64Array.from(numbers, (page) => BigInt(page * PAGE_SIZE)),
    pagesOffset: offset + 8 * count,
    pages: ZEROS.subarray(0, count * PAGE_SIZE),
  };
}

Deno.test("PageComparison finds nothing where all pages are there", () => {
  assertEquals(findings(upTo(PAGES)), []);
});

Deno.test("PageComparison: a page that was skipped is one that is missing, and nothing more", () => {
  const missing =
    "E_PAGE_MISSING vma[0]: the page is not in the image, though pagemap shows contents of its own";
  for (const skipped of [0, 1, 2500, PAGES - 1]) {
    assertEquals(findings(upTo(PAGES).toSpliced(skipped, 1)), [missing], `page ${skipped}`);
  }
  assertEquals(findings([]), Array(20).fill(missing));
});

Deno.test("PageComparison: a page too many is that, and nothing more", () => {
  const wanted = upTo(PAGES).toSpliced(2500, 1);
  const extra = ["E_PAGE_EXTRA vma[0]/pgarr[1]/pages/vaddr[452]: the page was never touched"];
  assertEquals(findings(upTo(PAGES), { wanted }), extra);
  // Nor is it refused, where some other page is.
  const refusal = { name: "EFAULT", errno: 14, atPage: START, page: START + 4200, why: "a test says so" };
  const given = upTo(2 * PER_CHUNK + 1);
  assertEquals(findings(given, { wanted: given.toSpliced(2500, 1), prediction: { refusal } }), extra);
});

Deno.test("PageComparison: a page that is there twice is named", () => {
  const twice = upTo(PAGES).toSpliced(3, 0, START + 2);
  assertEquals(findings(twice), [
    "E_PAGE_EXTRA vma[0]/pgarr[0]/pages/vaddr[3]: the page is in the image twice",
  ]);
});

Deno.test("PageComparison: order is said of the pages that are there, once for each that goes back", () => {
  const moved = upTo(PAGES).toSpliced(10, 1).toSpliced(3000, 0, START + 10);
  assertEquals(findings(moved), [
    "E_PAGE_ORDER vma[0]/pgarr[1]/pages/vaddr[952]: " +
    "the page belongs before 0x10bb8000, which the image has in front of it",
  ]);
});

Deno.test("PageComparison: what comes behind a page that cannot be read is refused", () => {
  const refusal = { name: "EFAULT", errno: 14, atPage: START, page: START + 3000, why: "a test says so" };
  assertEquals(findings(upTo(PER_CHUNK), { prediction: { refusal } }), []);
  const [refused, count, ...more] = findings(upTo(PER_CHUNK + 3), { prediction: { refusal } });
  assertEquals(refused, "E_PAGE_REFUSED vma[0]: a page that cannot be read, or one after it, was written");
  assertEquals([count?.split(":")[0], more], ["E_FIELD vma[0]/pgarr[1].nr_pages", []]);
});

Deno.test("PageComparison: counts are those of full chunks", () => {
  assertEquals(findings(upTo(PAGES), { counts: [2048, 2047, 300] }).length, 1);
});
