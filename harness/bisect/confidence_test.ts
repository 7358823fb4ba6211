// SPDX-License-Identifier: MIT

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { likelihood, missProbability, passesNeeded } from "./confidence.ts";

/** The same by numeric integration over the rate: what the closed forms must give. */
function integrate(f: (rate: number) => number): number {
  const PARTS = 20_000;
  let sum = 0;
  for (let part = 0; part < PARTS; part++) sum += f((part + 0.5) / PARTS);
  return sum / PARTS;
}

Deno.test("likelihood() is the integral over all rates, with a half at the rate 1", () => {
  for (const [failed, passed] of [[0, 0], [3, 0], [3, 1], [4, 7], [1, 20]] as const) {
    const unsteady = integrate((p) => p ** failed * (1 - p) ** passed);
    const expected = 0.5 * unsteady + (passed === 0 ? 0.5 : 0);
    assertAlmostEquals(likelihood({ failed, passed }), expected, 1e-6, `${failed} ${passed}`);
  }
});

Deno.test("missProbability() is what Bayes' rule says of so many passes", () => {
  for (const [failed, runs, passes] of [[3, 3, 1], [3, 3, 2], [4, 9, 1], [4, 9, 5], [1, 10, 3]] as const) {
    const passed = runs - failed;
    const steady = passed === 0 ? 0.5 : 0;
    const seen = integrate((p) => p ** failed * (1 - p) ** passed);
    const missed = integrate((p) => p ** failed * (1 - p) ** (passed + passes));
    const expected = 0.5 * missed / (0.5 * seen + steady);
    assertAlmostEquals(
      missProbability(passes, { failed, runs }),
      expected,
      1e-6,
      `${failed} ${runs} ${passes}`,
    );
  }
});

Deno.test("a steady failure needs few passes, a flaky one as many as its rate asks for", () => {
  assertEquals(passesNeeded({ failed: 3, runs: 3 }, 0.01, 30), 3);
  assertEquals(passesNeeded({ failed: 12, runs: 12 }, 0.01, 30), 1);
  const half = passesNeeded({ failed: 4, runs: 8 }, 0.01, 100);
  const rare = passesNeeded({ failed: 4, runs: 16 }, 0.01, 1000);
  assert(half > 5 && half < rare, `${half} ${rare}`);
  assertEquals(passesNeeded({ failed: 4, runs: 16 }, 0.01, 7), 7);
  // Known without doubt, a rate of one half asks for 7 passes: 0.5 ** 7 < 0.01.
  assertEquals(passesNeeded({ failed: 50_000, runs: 100_000 }, 0.01, 100), 7);
});
