// SPDX-License-Identifier: MIT

import { assertAlmostEquals, assertEquals } from "@std/assert";
import type { NightlyJob } from "./nightly_result.ts";
import { timeBreakdown } from "./build_nightly_result.ts";
import { fakeRunResult } from "./testing/fake_jobs.ts";

const BASE = { kernel: "6.1", platform: "x86_64", flavour: "plain", reproduce: "", status: "pass" } as const;

/** A job of two scenarios of 10 s each; its guests took 3 s to boot. */
const CATALOGUE: NightlyJob = {
  ...{ ...BASE, name: "a", suite: "catalogue", seconds: 25, reused: false },
  run: {
    ...fakeRunResult("6.1/x86_64/plain/catalogue", { one: "pass", two: "pass" }, 10_000),
    boots: { count: 1, milliseconds: 3000 },
  },
};
const FUZZ: NightlyJob = { ...BASE, name: "b", suite: "fuzz-1x100", seconds: 40, reused: false };

Deno.test("the breakdown of a nightly run adds up to its time, waiting included", () => {
  const spent = timeBreakdown({
    ...{ wall: 60, slots: 2, planning: 1.5, builds: 20, cutShort: 0 },
    jobs: [CATALOGUE, FUZZ, { ...FUZZ, reused: true }],
  });
  assertEquals(spent, {
    "planning": 1.5,
    "kernel builds": 20,
    "boots": 3,
    "scenarios": 20,
    "rest of the jobs": 2,
    "fuzz-1x100": 40,
    "waiting": 33.5,
  });
  assertAlmostEquals(Object.values(spent).reduce((sum, seconds) => sum + seconds), 60 * 2);
});

Deno.test("the breakdown names what was ended before its time, and no time below nothing", () => {
  const spent = timeBreakdown({ wall: 10, slots: 1, planning: 0, builds: 0, cutShort: 10.04, jobs: [] });
  assertEquals(spent, { "jobs cut short": 10 });
});
