// SPDX-License-Identifier: MIT

import { assertAlmostEquals, assertEquals } from "@std/assert";
import type { NightlyJob } from "./nightly_result.ts";
import { buildNightlyResult, timeBreakdown } from "./build_nightly_result.ts";
import { History } from "./history/history.ts";
import { fakeRunResult } from "./testing/fake_jobs.ts";
import { NightlyFixture } from "./testing/nightly_fixture.ts";

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

Deno.test("trends have the durations of the scenarios that take the longest now, in each run", async () => {
  await using fixture = await NightlyFixture.make();
  using history = await History.open(fixture.historyPath);
  const matrix = { path: "m.json", digest: "d" };
  const jobOf = (times: Record<string, number>): NightlyJob => {
    const names = Object.fromEntries(Object.keys(times).map((name) => [name, "pass"] as const));
    const run = fakeRunResult("6.1/x86_64/plain/catalogue", names, 0);
    const results = run.results.map((one) => ({ ...one, milliseconds: times[one.scenario]! }));
    return { ...CATALOGUE, run: { ...run, results } };
  };
  const before = { id: "1", started: "2026-01-01" };
  history.beginRun({ ...before, matrix, whole: true });
  history.recordJob("1", jobOf({ a: 10, b: 20, c: 30 }));
  const now = { id: "2", started: "2026-01-02", matrix, milliseconds: 1, complete: true, spent: {} };
  const quick = Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`q${index}`, 2 + index]));
  const { trends } = await buildNightlyResult({
    ...{
      run: now,
      jobs: [jobOf({ ...quick, a: 100, b: 200, c: 1 })],
      history,
      own: ["2"],
      wholeMatrix: true,
    },
  });
  assertEquals(trends.a?.map(({ scenarios }) => scenarios), [
    { a: 10, b: 20 },
    { b: 200, a: 100, q4: 6, q3: 5, q2: 4, q1: 3 },
  ]);
});
