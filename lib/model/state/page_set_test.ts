// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { pageCount, pageRuns } from "./page_set.ts";

Deno.test("pageCount() takes numbers and sums of chunks", () => {
  assertEquals(pageCount(12, 2048), 12);
  assertEquals(pageCount("chunk", 2048), 2048);
  assertEquals(pageCount("2chunk+1", 4096), 8193);
  assertEquals(pageCount("chunk-1", 2048), 2047);
});

Deno.test("pageCount() refuses what is no count", () => {
  for (const bad of ["", "x", "-1", "1.5", "chunk*2", "1-2", "chunk chunk"]) {
    assertThrows(() => pageCount(bad, 2048), SyntaxError);
  }
  assertThrows(() => pageCount(-1, 2048), SyntaxError);
  assertThrows(() => pageCount(1.5, 2048), SyntaxError);
});

Deno.test("pageRuns() takes single pages, ranges and all", () => {
  assertEquals(pageRuns("all", 5, 2048), [{ first: 0, count: 5 }]);
  assertEquals(pageRuns(3, 5, 2048), [{ first: 3, count: 1 }]);
  assertEquals(pageRuns("0,2-4", 5, 2048), [{ first: 0, count: 1 }, { first: 2, count: 3 }]);
  assertEquals(pageRuns("0..chunk-1", 2049, 2048), [{ first: 0, count: 2048 }]);
});

Deno.test("pageRuns() takes every so manyth page of a range", () => {
  assertEquals(pageRuns("1..6/3", 9, 2048), [{ first: 1, count: 1 }, { first: 4, count: 1 }]);
  assertEquals(pageRuns("0..3/1", 9, 2048), [{ first: 0, count: 4 }]);
  assertThrows(() => pageRuns("0..3/0", 9, 2048), SyntaxError, "from 1 up");
});

Deno.test("pageRuns() refuses pages outside the area and backward ranges", () => {
  assertThrows(() => pageRuns("5", 5, 2048), SyntaxError, "outside the area");
  assertThrows(() => pageRuns("3..2", 5, 2048), SyntaxError, "backwards");
  assertThrows(() => pageRuns("all,1", 5, 2048), SyntaxError);
});
