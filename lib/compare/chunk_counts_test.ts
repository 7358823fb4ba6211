// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { chunkCounts } from "./compare_pages.ts";

const POSTED = { dialect: "v11", arch: "i386" } as const;

function pages(count: number, start = 0): number[] {
  return Array.from({ length: count }, (_, i) => start + i);
}

Deno.test("chunkCounts() counts on from the second chunk, as the code of 2008 did", () => {
  const counts = (count: number): number[] => chunkCounts(pages(count), count, POSTED);
  assertEquals(chunkCounts([], 10, POSTED), []);
  assertEquals(counts(1024), [1024]);
  assertEquals(counts(4096), [4096]);
  assertEquals(counts(5000), [4096, 5000]);
  assertEquals(counts(8192), [4096, 5120, 6144, 7168, 8192]);
});

Deno.test("chunkCounts() of 2008 ends a full chunk before clean pages with one count more", () => {
  const counts = (all: readonly number[], end: number): number[] => chunkCounts(all, end, POSTED);
  assertEquals(counts(pages(4096), 4097), [4096, 4096]);
  assertEquals(counts(pages(5120, 7), 6000), [4096, 5120, 5120]);
  assertEquals(counts([...pages(4096, 100), ...pages(10, 4696)], 6000), [4096, 4106]);
});

Deno.test("chunkCounts() of the port fills every chunk but the last", () => {
  const counts = (count: number): number[] =>
    chunkCounts(pages(count), 9999, { dialect: "port", arch: "x86_64" });
  assertEquals([counts(0), counts(1), counts(2048), counts(5000)], [[], [1], [2048], [2048, 2048, 904]]);
});
