// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { formatDuration } from "./format_duration.ts";

Deno.test("formatDuration() says durations in at most two units", () => {
  const seconds = [0, 0.418, 9.99, 37.4, 59.6, 60, 245, 3599.6, 3600, 4321, 7201, 200_000];
  assertEquals(seconds.map(formatDuration), [
    "0.00 s",
    "0.42 s",
    "9.99 s",
    "37 s",
    "1 min",
    "1 min",
    "4 min 5 s",
    "1 h",
    "1 h",
    "1 h 12 min",
    "2 h",
    "55 h 33 min",
  ]);
});
