// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { formatBytes, formatCount, formatSeconds } from "./format_quantity.ts";

Deno.test("formatBytes() picks the unit that leaves up to four digits", () => {
  assertEquals([0, 1023, 1024, 1536].map(formatBytes), ["0 B", "1023 B", "1.0 KiB", "1.5 KiB"]);
  assertEquals([2 ** 20, 2 ** 30, 2 ** 42].map(formatBytes), ["1.0 MiB", "1.0 GiB", "4096.0 GiB"]);
});

Deno.test("formatSeconds() and formatCount() are for people", () => {
  assertEquals([formatSeconds(0), formatSeconds(1234)], ["0.00 s", "1.23 s"]);
  assertEquals([0, 999, 1000, 1234567].map(formatCount), ["0", "999", "1,000", "1,234,567"]);
});
