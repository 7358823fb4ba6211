// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import type { BisectRun } from "./bisect_run.ts";
import { HISTORIES } from "./change_history_test.ts";
import type { BisectStanding } from "./next_step.ts";
import { carryOut, FAILURE, scriptedLine, UNBUILT } from "./testing/scripted_history.ts";

function problemOf({ step }: BisectStanding): string {
  return step.kind === "refused" ? `${step.change} ${step.because}: ${step.problem}` : step.kind;
}

/** Numbers from 0 to 1 that look random, the same each time. */
function draws(seed: number): () => number {
  let state = BigInt(seed) * 2_654_435_761n + 12_345n;
  return () => {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) & (2n ** 64n - 1n);
    return Number(state >> 11n) / 2 ** 53;
  };
}

Deno.test("in a line the first bad change is found by halving", () => {
  const { standing, order } = carryOut({
    history: scriptedLine(12),
    run: (id) => Number(id) >= 7 ? "fail" : "pass",
  });
  assertEquals(standing.suspects, ["7"]);
  assertEquals(standing.step, { kind: "ended" });
  assert(standing.confidence >= 0.99, String(standing.confidence));
  assertEquals(order.slice(0, 8), ["12", "12", "12", "0", "0", "0", "6", "6"]);
  assertEquals([...new Set(order)], ["12", "0", "6", "9", "7"]);
});

Deno.test("whatever the history, the change that is named is the first bad one", () => {
  fc.assert(fc.property(HISTORIES, fc.nat(), fc.nat(), fc.func(fc.nat(5)), (history, a, b, brokenness) => {
    const ids = history.changes.map(({ id }) => id);
    const bad = ids[1 + a % (ids.length - 1)]!;
    const inside = [...history.ancestors(bad)].filter((id) => id !== "0").sort((x, y) => +x - +y);
    const first = inside[b % inside.length]!;
    const isBad = (id: string) => history.ancestors(id).has(first);
    const isBroken = (id: string) => id !== bad && id !== "0" && brokenness(id) === 0;
    const { standing } = carryOut({
      history,
      ends: { good: "0", bad },
      run: (id) => isBroken(id) ? UNBUILT : isBad(id) ? "fail" : "pass",
    });
    assertEquals(standing.step, { kind: "ended" });
    assert(standing.suspects.includes(first), `${standing.suspects} lacks ${first}`);
    // What is named beside it was skipped, or the last that is known to be bad.
    const others = standing.suspects.filter((id) => standing.verdicts.get(id)?.kind !== "bad");
    assert(others.every(isBroken), `${others}`);
    const tried = standing.verdicts.size;
    if (![...standing.verdicts.keys()].some(isBroken)) {
      assertEquals(standing.suspects, [first]);
      assert(history.changes.length > 41 || tried <= 14, `${tried} tries`);
    }
  }));
});

Deno.test("of failures that come and go, about as many are named rightly as the confidence says", () => {
  const TIMES = 400;
  // A rate that is known is a little worse than one that is drawn, which is what the confidence speaks of.
  for (const [rate, least] of [[0.35, 0.9], [0.7, 0.9], [1, 1], [undefined, 0.93]] as const) {
    let [right, sum] = [0, 0];
    for (let seed = 0; seed < TIMES; seed++) {
      const random = draws(seed * 7919 + 1);
      const first = 1 + Math.floor(random() * 15);
      const drawn = rate ?? (random() < 0.5 ? 1 : random());
      const { standing } = carryOut({
        history: scriptedLine(15),
        confidence: 0.95,
        maxRuns: 200,
        run: (id) => Number(id) >= first && random() < drawn ? "fail" : "pass",
      });
      // With a rare failure the bad end may pass so often that it is refused.
      if (standing.step.kind === "refused") continue;
      sum++;
      if (standing.suspects[0] === String(first)) right++;
    }
    assert(sum > TIMES * 0.9, `${sum} of ${TIMES} were not refused`);
    assert(right / sum >= least, `rate ${rate}: ${right} of ${sum} were right`);
  }
});

Deno.test("a flaky failure is given more runs, and one failing run proves a change bad", () => {
  const { standing, order } = carryOut({
    history: scriptedLine(8),
    // Each bad change fails in its third run, the bad end in each second one.
    run: (id, nth) =>
      id === "8" ? (nth % 2 ? "fail" : "pass") : Number(id) >= 5 && nth % 3 === 2 ? "fail" : "pass",
  });
  assertEquals(standing.suspects, ["5"]);
  assertEquals(order.filter((id) => id === "8").length, 8);
  assertEquals(order.filter((id) => id === "6").length % 3, 0);
  const passes = order.filter((id) => id === "4").length;
  assert(passes >= standing.needed && passes > 5, `${passes} of ${standing.needed}`);
  assert(standing.confidence >= 0.99, String(standing.confidence));
  assert(standing.rate.failed < standing.rate.runs);
});

Deno.test("when a change may not run often enough, the confidence says so", () => {
  const { standing } = carryOut({
    history: scriptedLine(8),
    maxRuns: 6,
    run: (id, nth) => Number(id) >= 5 && nth % 2 === 1 ? "fail" : "pass",
  });
  assertEquals(standing.suspects, ["5"]);
  assert(standing.confidence < 0.99 && standing.confidence > 0.5, String(standing.confidence));
});

Deno.test("what does not build is skipped; when only such changes are left, one of them it is", () => {
  const { standing, order } = carryOut({
    history: scriptedLine(9),
    run: (id) => Number(id) >= 4 && Number(id) <= 6 ? UNBUILT : Number(id) >= 5 ? "fail" : "pass",
  });
  assertEquals(standing.suspects, ["4", "5", "6", "7"]);
  assertEquals(standing.verdicts.get("5"), { kind: "skipped", reason: "does not build" });
  assertEquals(new Set(order), new Set(["9", "0", "5", "2", "7", "3", "6", "4"]));
  const all = carryOut({
    history: scriptedLine(9),
    run: (id) => id === "0" ? "pass" : id === "9" ? "fail" : UNBUILT,
  });
  assertEquals(all.standing.suspects.length, 9);
  assertEquals(all.standing.verdicts.size, 10);
});

Deno.test("ends that are not what they were said to be are refused", () => {
  const of = (run: Parameters<typeof carryOut>[0]["run"]) =>
    problemOf(carryOut({ history: scriptedLine(4), run }).standing);
  assertEquals(of(() => "pass"), "4 wrong end: is not bad: it passed 10 of 10 runs");
  assertEquals(of(() => "fail"), "0 wrong end: is not good: one fails there, too: one is wrong");
  assertEquals(of(() => UNBUILT), "4 build: does not build");
  assertEquals(of((id) => id === "0" ? UNBUILT : "fail"), "0 build: does not build");
  assertStringIncludes(
    of((id) => id === "0" ? { skipped: ["one"] } : "fail"),
    "nothing ran: cannot be taken",
  );
  const other = { ...FAILURE, keys: ["E_OTHER"], text: "another way" };
  assertEquals(
    of((id) => id === "0" ? { failures: [other] } : "fail"),
    "0 wrong end: cannot be taken as good: fails in another way: another way",
  );
});

Deno.test("another failure is not the one that is looked for", () => {
  const other = { ...FAILURE, keys: ["E_OTHER"], text: "it oopsed" };
  const elsewhere = { ...FAILURE, scenario: "two" };
  const fails: Partial<BisectRun> = { failures: [FAILURE, elsewhere] };
  const { standing } = carryOut({
    history: scriptedLine(8),
    run: (id) => {
      if (id === "4") return { failures: [other] };
      if (Number(id) >= 6) return fails;
      return Number(id) >= 2 ? { passed: ["one"], failures: [elsewhere] } : "pass";
    },
  });
  assertEquals(standing.suspects, ["6"]);
  assertEquals(standing.verdicts.get("4"), { kind: "skipped", reason: "fails in another way: it oopsed" });
  assertEquals(standing.otherFailures, [elsewhere]);
});

Deno.test("an accident of the machine is passed over; a second one at the same change skips it", () => {
  const lost: Partial<BisectRun> = { skip: { kind: "boot", reason: "does not boot" } };
  const at = (accidents: number) =>
    carryOut({
      history: scriptedLine(8),
      run: (id, nth) => nth < accidents && id !== "6" ? lost : Number(id) >= 5 ? "fail" : "pass",
    });
  const { standing, order } = at(1);
  assertEquals(standing.suspects, ["5"]);
  assertEquals(order.slice(0, 5), ["8", "8", "8", "8", "0"]);
  assertEquals(problemOf(at(2).standing), "8 boot: does not boot");
  const { standing: skipped } = carryOut({
    history: scriptedLine(8),
    run: (id) => id === "4" ? lost : Number(id) >= 5 ? "fail" : "pass",
  });
  assertEquals(skipped.suspects, ["4", "5"]);
});

Deno.test("a failure that the good end has as well is not the one that is looked for", () => {
  const old = { ...FAILURE, scenario: "old" };
  const { standing } = carryOut({
    history: scriptedLine(8),
    run: (id) => Number(id) >= 3 ? { failures: [old, FAILURE] } : { passed: ["one"], failures: [old] },
  });
  assertEquals(standing.failure, FAILURE);
  assertEquals(standing.suspects, ["3"]);
});
