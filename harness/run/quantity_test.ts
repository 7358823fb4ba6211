// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatSeconds,
  parseBytes,
  parseSeconds,
} from "./quantity.ts";

Deno.test("formatBytes() picks the unit that leaves up to four digits", () => {
  assertEquals([0, 1023, 1024, 1536].map(formatBytes), ["0 B", "1023 B", "1.0 KiB", "1.5 KiB"]);
  assertEquals([2 ** 20, 2 ** 30, 2 ** 42].map(formatBytes), ["1.0 MiB", "1.0 GiB", "4096.0 GiB"]);
});

Deno.test("formatSeconds() and formatCount() are for people", () => {
  assertEquals([formatSeconds(0), formatSeconds(1234)], ["0.00 s", "1.23 s"]);
  assertEquals([0, 999, 1000, 1234567].map(formatCount), ["0", "999", "1,000", "1,234,567"]);
});

Deno.test("formatDuration() says durations in at most two units", () => {
  const seconds = [0, 0.418, 9.99, 37.4, 59.6, 60, 245, 3599.6, 3600, 4321, 7201, 200_000];
  assertEquals(seconds.map(formatDuration), [
    ...["0.0 s", "0.4 s", "10.0 s", "37 s", "1 min", "1 min", "4 min 5 s", "1 h", "1 h"],
    ...["1 h 12 min", "2 h", "55 h 33 min"],
  ]);
});

Deno.test("parseSeconds() and parseBytes() take a number with a unit", () => {
  assertEquals(["90s", "30min", "2h", "1.5h", "1d"].map(parseSeconds), [90, 1800, 7200, 5400, 86400]);
  assertEquals(["", "2", "h", "-2h", "2 h", "2hours", "1e3s"].map(parseSeconds), Array(7).fill(undefined));
  assertEquals(["10", "1K", "500M", "20G"].map(parseBytes), [10, 1024, 500 * 2 ** 20, 20 * 2 ** 30]);
  assertEquals(["", "G", "1X", "-1G"].map(parseBytes), Array(4).fill(undefined));
});
