// SPDX-License-Identifier: MIT

import { assertEquals, assertNotEquals } from "@std/assert";
import { contentBytes, fillContent, fillPage, mixSeed, withStore, ZERO_CONTENT } from "./page_content.ts";

Deno.test("fillPage() differs from page to page, from seed to seed and from word to word", () => {
  const page = fillPage(7, 0x1000);
  assertEquals(page.length, 4096);
  assertNotEquals(page, fillPage(7, 0x2000));
  assertNotEquals(page, fillPage(8, 0x1000));
  assertEquals(new Set(new Uint32Array(page.buffer)).size, 1024);
});

Deno.test("mixSeed() takes all 64 bits of an address", () => {
  assertNotEquals(mixSeed(1, 0x1_0000_1000), mixSeed(1, 0x2_0000_1000));
  assertNotEquals(mixSeed(1, 0x7f_ffff_f000), mixSeed(1, 0xffff_f000));
});

Deno.test("contentBytes() lays stores over the base, later ones last", () => {
  const base = fillContent(3, 0x4000);
  const stored = withStore(withStore(base, 10, Uint8Array.of(1, 2, 3)), 11, Uint8Array.of(9));
  const expected = fillPage(3, 0x4000);
  expected.set([1, 9, 3], 10);
  assertEquals(contentBytes(stored), expected);
  assertEquals(contentBytes(base), fillPage(3, 0x4000));
  assertEquals(contentBytes(ZERO_CONTENT), new Uint8Array(4096));
});
