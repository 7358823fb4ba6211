// SPDX-License-Identifier: MIT

import { assertEquals, assertFalse, assertThrows } from "@std/assert";
import * as v from "valibot";
import { PAGE_COUNT, PAGE_SET } from "../fields.ts";
import { pageCount, pageRuns } from "./page_set.ts";

Deno.test("pageCount() takes numbers and sums of chunks", () => {
  assertEquals(pageCount(12, 2048), 12);
  assertEquals(pageCount("chunk", 2048), 2048);
  assertEquals(pageCount("2chunk+1", 4096), 8193);
  assertEquals(pageCount("chunk-1", 2048), 2047);
});

Deno.test("pageCount() refuses what is no number of pages", () => {
  assertThrows(() => pageCount("1-2", 2048), SyntaxError, '"1-2" is -1');
  assertThrows(() => pageCount("9999chunk", 2048), SyntaxError, "from 0 to 16777216");
});

Deno.test("PAGE_COUNT and PAGE_SET refuse what is none", () => {
  for (const bad of ["", "x", "-1", "chunk*2", "chunk chunk", -1, 1.5]) {
    assertFalse(v.safeParse(PAGE_COUNT, bad).success, String(bad));
  }
  for (const bad of ["", "all,1", "1-", "..3", "1/", -1]) {
    assertFalse(v.safeParse(PAGE_SET, bad).success, String(bad));
  }
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
});
