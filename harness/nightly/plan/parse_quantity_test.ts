// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { formatDuration, parseBytes, parseSeconds } from "./parse_quantity.ts";

Deno.test("parseSeconds() and parseBytes() take a number with a unit", () => {
  assertEquals(["90s", "30min", "2h", "1.5h", "1d"].map(parseSeconds), [90, 1800, 7200, 5400, 86400]);
  assertEquals(["", "2", "h", "-2h", "2 h", "2hours", "1e3s"].map(parseSeconds), Array(7).fill(undefined));
  assertEquals(["10", "1K", "500M", "20G"].map(parseBytes), [10, 1024, 500 * 2 ** 20, 20 * 2 ** 30]);
  assertEquals(["", "G", "1X", "-1G"].map(parseBytes), Array(4).fill(undefined));
});

Deno.test("formatDuration() writes seconds as a person reads them", () => {
  assertEquals([0.25, 42.4, 720, 7500].map(formatDuration), ["0.3 s", "42 s", "12 min", "2 h 5 min"]);
});
