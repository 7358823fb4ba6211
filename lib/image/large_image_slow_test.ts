// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { PAGE_SIZE, pagesPerChunk, type WordSize } from "../abi/arch.ts";
import { encode } from "./image_writer.ts";
import { decodeStream } from "./decoder.ts";
import { readNodes } from "./image.ts";
import { isRecord } from "./nodes.ts";
import { checkImage, checkImageStream } from "./rules.ts";
import { ImagePrinter, showImage } from "./show/show_image.ts";
import { RW_FLAGS, syntheticImage } from "./testing/synthetic_image.ts";

const MIB = 1 << 20;
const START = 0x1000_0000n;
const CODE = { start: 0x400000n, end: 0x402000n, flags: 0x75n };
const PIECE = new Uint8Array(64 * 1024).fill(0x5a);

/** A PGARR record and the addresses after it. */
function chunkHead(first: number, count: number, wordSize: WordSize): Uint8Array {
  const bytes = new Uint8Array(16 + count * wordSize);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, 203, true);
  view.setInt16(2, 8, true);
  view.setBigUint64(8, BigInt(count), true);
  for (let i = 0; i < count; i++) {
    const vaddr = START + BigInt(first + i) * BigInt(PAGE_SIZE);
    if (wordSize === 8) view.setBigUint64(16 + 8 * i, vaddr, true);
    else view.setUint32(16 + 4 * i, Number(vaddr), true);
  }
  return bytes;
}

/** An image of that many pages in one VMA, made as it is read; `onPiece` is called for each MiB. */
async function* largeImage(
  pages: number,
  wordSize: WordSize,
  onPiece: () => void,
): AsyncGenerator<Uint8Array> {
  const vma = { start: START, end: START + BigInt(pages * PAGE_SIZE), flags: RW_FLAGS, pgoff: START >> 12n };
  const { nodes } = readNodes(syntheticImage({ wordSize, vmas: [CODE, vma] }));
  const end = nodes.findLastIndex((node) => isRecord(node, "PGARR"));
  yield await Promise.resolve(encode(nodes.slice(0, end)));
  const full = pagesPerChunk(wordSize);
  for (let first = 0; first < pages; first += full) {
    const count = Math.min(full, pages - first);
    yield chunkHead(first, count, wordSize);
    for (let left = count * PAGE_SIZE; left > 0; left -= PIECE.length) {
      if (left % MIB === 0) onPiece();
      yield PIECE.subarray(0, Math.min(left, PIECE.length));
    }
  }
  yield encode(nodes.slice(end));
}

/** What this test file alone uses: others may run beside it in the same process. */
function memoryUsed(): number {
  const { heapTotal, external } = Deno.memoryUsage();
  return heapTotal + external;
}

for (const wordSize of [8, 4] as const) {
  Deno.test(`checkImageStream() needs little memory for 1 GiB of ${wordSize}-byte addresses`, async () => {
    const before = memoryUsed();
    let most = 0;
    let pieces = 0;
    const findings = await checkImageStream(largeImage(262_144, wordSize, () => {
      pieces++;
      most = Math.max(most, memoryUsed());
    }));
    assertEquals([findings, pieces], [[], 1024]);
    const grown = (most - before) / MIB;
    // The project allows a process 150 MB; an empty one has about 30.
    assert(grown < 100, `memory grew by ${grown.toFixed(0)} MiB`);
  });
}

Deno.test("checkImage() is quick for 32 MiB", () => {
  const pages = Array.from({ length: 8192 }, (_, i) => START + BigInt(i * PAGE_SIZE));
  const vma = { start: START, end: START + 0x1000_0000n, flags: RW_FLAGS, pgoff: START >> 12n, pages };
  const bytes = syntheticImage({ vmas: [CODE, vma] });
  checkImage(bytes);
  const start = performance.now();
  assertEquals(checkImage(bytes), []);
  const elapsed = performance.now() - start;
  assert(elapsed < 300, `it took ${elapsed.toFixed(0)} ms`);
});

Deno.test("ImagePrinter needs little memory for 256 MiB", async () => {
  const before = memoryUsed();
  let most = 0;
  const printer = new ImagePrinter();
  const image = largeImage(65_536, 8, () => most = Math.max(most, memoryUsed()));
  const lines: string[] = [];
  for await (const node of decodeStream(image, { reuseBuffers: true })) lines.push(...printer.visit(node));
  lines.push(...printer.finish());
  assert(lines.some((line) => line.endsWith("65536 pages (256.0 MiB)")), lines.at(-1));
  const grown = (most - before) / MIB;
  assert(grown < 100, `memory grew by ${grown.toFixed(0)} MiB`);
});

Deno.test("an image of 150,000 mappings is checked and shown, each on its line", () => {
  const vmas = Array.from({ length: 150_000 }, (_, i) => {
    const start = START + BigInt(2 * i * PAGE_SIZE);
    return { start, end: start + BigInt(PAGE_SIZE), flags: RW_FLAGS };
  });
  const bytes = syntheticImage({ vmas: [CODE, ...vmas] });
  assertEquals(checkImage(bytes), []);
  const lines = showImage(readNodes(bytes).nodes).split("\n");
  assertEquals(lines.filter((line) => line.includes("  anon  ")).length, 150_001);
});
