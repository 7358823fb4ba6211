// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { buildImage } from "../build_image.ts";
import { decodeBytes } from "../decoder.ts";
import { hexDump, PageFinder } from "./page_finder.ts";

function page(byte: number): Uint8Array {
  return new Uint8Array(4096).fill(byte);
}

const IMAGE = buildImage({
  vmas: [
    { start: 0x10000n, end: 0x20000n, flags: 0x75n, type: 2, name: "/bin/target" },
    { start: 0x20000n, end: 0x30000n, pages: [[0x21000n, page(1)], [0x23000n, page(2)]] },
    { start: 0x7fff0000n, end: 0x80000000n },
  ],
});

function find(start: bigint, last = start): { places: string[]; bytes: (number | undefined)[] } {
  const finder = new PageFinder(start, last);
  const found = [...decodeBytes(IMAGE)].flatMap((node) => finder.visit(node));
  const pages = [...found, ...finder.missing(20)];
  return {
    places: pages.map(({ address, place }) => `${address.toString(16)}: ${place}`),
    bytes: pages.map(({ bytes }) => bytes?.[7]),
  };
}

Deno.test("PageFinder finds the page of an address, with mapping, chunk and place in the file", () => {
  const { places: [place], bytes } = find(0x23abcn);
  const [, from] = /bytes (\d+) to/.exec(place!)!;
  const mapping = "page 3 of mapping 20000-30000 rw-p";
  const place2 = `page 1 of task[0]/vma[1]/pgarr[0], bytes ${from} to ${Number(from) + 4095} of the file`;
  assertEquals([place, bytes], [`23000: ${mapping}: ${place2}`, [2]]);
  assertEquals([IMAGE[Number(from) - 1], IMAGE[Number(from)]], [1, 2]);
});

Deno.test("PageFinder finds the pages of a range, and says which are missing and why", () => {
  const { places, bytes } = find(0x20fffn, 0x21000n);
  assertEquals([places.length, bytes], [2, [1, undefined]]);
  assertEquals(places[1], "20000: page 0 of mapping 20000-30000 rw-p: not in the image");
  assertEquals(find(0x12000n).places, [
    "12000: page 2 of mapping 10000-20000 /bin/target r-xp: not in the image",
  ]);
  assertEquals(find(0n).places, ["0: in no mapping"]);
  assertEquals(find(0x30000n, 0xffff_ffff_ffff_ffffn).places.length, 20);
});

Deno.test("hexDump() shows bytes with their addresses, and repeated lines once", () => {
  const bytes = new Uint8Array(80);
  bytes.set(new TextEncoder().encode("hello <b>\x1b[31m"), 64);
  assertEquals(hexDump(bytes, 0x1000n), [
    `  0x000000001000  ${"00 ".repeat(8)} ${"00 ".repeat(8)} |................|`,
    "  *",
    "  0x000000001040  68 65 6c 6c 6f 20 3c 62  3e 1b 5b 33 31 6d 00 00  |hello <b>.[31m..|",
  ]);
});
