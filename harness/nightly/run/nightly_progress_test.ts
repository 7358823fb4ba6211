// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { progressLine, secondsLeft } from "./nightly_progress.ts";

const STATE = {
  ...{ total: 12, done: 3, failed: 1, slots: 2 },
  running: new Map([["a", 0], ["b", 10_000]]),
  waiting: ["c", "d"],
};

Deno.test("the status line says what is done, failed, running, and how long the rest takes", () => {
  const durations = new Map([["a", 100], ["b", 100], ["c", 600], ["d", 600]]);
  assertEquals(
    progressLine(STATE, durations, 40_000),
    "nightly: 3 of 12 jobs done, 1 failed, 2 running, about 11 min 5 s left: a, b",
  );
  assertEquals(
    progressLine(STATE, new Map(), 0),
    "nightly: 3 of 12 jobs done, 1 failed, 2 running, time left not known: a, b",
  );
});

Deno.test("the rest takes as long as its longest job at least; unknown ones count as the middle of the known", () => {
  const left = (waiting: string[], durations: [string, number][], slots = 2) =>
    secondsLeft({ running: new Map(), waiting, slots }, new Map(durations), 0);
  assertEquals(left(["a", "b"], [["a", 100], ["b", 10]]), 100);
  assertEquals(left(["a", "b", "new"], [["a", 100], ["b", 100]], 1), 300);
  assertEquals(left([], [["a", 100]]), 0);
});

Deno.test("a job that takes longer than it did is about to end", () => {
  assertEquals(
    secondsLeft({ running: new Map([["a", 0]]), waiting: [], slots: 1 }, new Map([["a", 5]]), 60_000),
    1,
  );
});
