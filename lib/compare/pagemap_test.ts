// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { isAnonymousPage, type PagemapEntry, parsePagemap } from "./pagemap.ts";

const PRESENT = 1n << 63n;
const SWAPPED = 1n << 62n;
const FILE = 1n << 61n;
const SOFT_DIRTY = 1n << 55n;

function parse(...pairs: [bigint, bigint][]): PagemapEntry[] {
  return parsePagemap(new Uint8Array(BigUint64Array.from(pairs.flat()).buffer));
}

Deno.test("parsePagemap() reads page number, bits and frame", () => {
  assertEquals(parse([0x7fff_ffff_f000n, PRESENT | SOFT_DIRTY | 0x1234n], [0x1000n, SWAPPED | 0x77n]), [
    { page: 0x7_ffff_ffff, present: true, swapped: false, file: false, frame: 0x1234n },
    { page: 1, present: false, swapped: true, file: false, frame: 0n },
  ]);
  assertEquals(parse([0x2000n, PRESENT | FILE | (1n << 55n) - 1n])[0], {
    page: 2,
    present: true,
    swapped: false,
    file: true,
    frame: (1n << 55n) - 1n,
  });
});

Deno.test("parsePagemap() reads from a view that does not start at a word", () => {
  const bytes = new Uint8Array(19);
  new DataView(bytes.buffer).setBigUint64(3, 0x5000n, true);
  assertEquals(parsePagemap(bytes.subarray(3))[0]?.page, 5);
});

Deno.test("parsePagemap() says that an entry of 32 bits tells no more than that the page is there", () => {
  assertEquals(parse([0x3000n, 0x0600_0000_0000_0123n])[0], {
    page: 3,
    present: true,
    swapped: false,
    file: false,
    frame: 0x123n,
    isCut: true,
  });
  assertEquals(parse([0x3000n, 0x0600_0000_0000_0000n])[0]?.present, false);
});

Deno.test("parsePagemap() refuses half a pair", () => {
  assertThrows(() => parsePagemap(new Uint8Array(24)), SyntaxError, "found 24 bytes");
});

Deno.test("isAnonymousPage() takes swapped pages and present ones that are no file's and not the zero page", () => {
  const zero = 9n;
  const own = (entry: bigint): boolean => isAnonymousPage(parse([0n, entry])[0]!, zero);
  assertEquals(own(PRESENT | 8n), true);
  assertEquals(own(PRESENT | zero), false);
  assertEquals(own(PRESENT | FILE | 8n), false);
  assertEquals(own(SWAPPED | zero), true);
  assertEquals(own(0n), false);
  assertEquals(own(SOFT_DIRTY), false);
});

Deno.test("parsePagemap() takes marks in holes for what they are, and no swap entry for one", () => {
  const UFFD_WP = 1n << 57n;
  const entry = (type: bigint, offset: bigint) => SWAPPED | UFFD_WP | type | offset << 5n;
  const swapped = (raw: bigint): boolean => parse([0x1000n, raw])[0]!.swapped;
  assertEquals([entry(30n, 1n), entry(31n, 1n)].map(swapped), [false, false]);
  assertEquals(isAnonymousPage(parse([0x1000n, entry(31n, 1n)])[0]!, undefined), false);
  // A page that was lost, a swap device's first pages, a page on its way to another frame.
  assertEquals([entry(31n, 2n), entry(0n, 1n), SWAPPED | 30n | 1n << 5n, entry(31n, 0x12345n)].map(swapped), [
    ...[true, true, true, true],
  ]);
});
