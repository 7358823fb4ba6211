// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { formatSwapArea } from "./swap_area.ts";

Deno.test("formatSwapArea() makes the header that swapon wants", () => {
  const page = formatSwapArea(10 * 4096);
  assertEquals(page.length, 4096);
  assertEquals(new TextDecoder().decode(page.subarray(4086)), "SWAPSPACE2");
  assertEquals([...new Uint32Array(page.buffer, 1024, 3)], [1, 9, 0]);
});

Deno.test("formatSwapArea() refuses an area without room", () => {
  assertThrows(() => formatSwapArea(4096), RangeError, "at least 2 pages");
});
