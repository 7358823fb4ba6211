// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { postedChunks } from "./posted_chunks.ts";

function pages(count: number, start = 0): number[] {
  return Array.from({ length: count }, (_, i) => start + i);
}

function chunks(all: readonly number[], end: number): string {
  return postedChunks(all, end).map(({ header, count }) => `${header}/${count}`).join(" ");
}

Deno.test("postedChunks() counts on from the second chunk, as the code of 2008 did", () => {
  assertEquals(chunks([], 10), "");
  assertEquals(chunks(pages(1024), 1024), "1024/1024");
  assertEquals(chunks(pages(4096), 4096), "4096/4096");
  assertEquals(chunks(pages(5000), 5000), "4096/4096 5000/904");
  assertEquals(chunks(pages(8192), 8192), "4096/4096 5120/1024 6144/1024 7168/1024 8192/1024");
});

Deno.test("postedChunks() ends a full chunk before clean pages with an empty one", () => {
  assertEquals(chunks(pages(4096), 4097), "4096/4096 4096/0");
  assertEquals(chunks(pages(5120, 7), 6000), "4096/4096 5120/1024 5120/0");
  assertEquals(chunks([...pages(4096, 100), ...pages(10, 4696)], 6000), "4096/4096 4106/10");
});
