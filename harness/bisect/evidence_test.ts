// SPDX-License-Identifier: MIT

import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import type { BisectRun, Failure } from "./bisect_state.ts";
import { Evidence, type EvidenceInput, likelihood, missProbability, passesNeeded } from "./evidence.ts";

const FAILURE: Failure = { scenario: "one", keys: ["E_ONE"], lost: false, text: "one is wrong" };
const UNBUILT: Partial<BisectRun> = { skip: { kind: "build", text: "does not build" } };

type Run = "pass" | "fail" | Partial<BisectRun>;

function runOf(change: string, how: Run): BisectRun {
  const empty = { change, passed: [], skipped: [], failures: [], seconds: 1, files: "" };
  if (how === "pass") return { ...empty, passed: ["one"] };
  return how === "fail" ? { ...empty, failures: [FAILURE] } : { ...empty, ...how };
}

/** Evidence on changes 0 to `last`, one made on the other. */
function evidenceOf(
  last: number,
  runs: readonly BisectRun[],
  rest: Partial<Pick<EvidenceInput, "confidence" | "maxRuns">> = {},
): Evidence {
  const contains = new Map(Array.from({ length: last + 1 }, (_, id) => [
    String(id),
    new Set(Array.from({ length: id + 1 }, (_, below) => String(below))),
  ]));
  return new Evidence({
    good: "0",
    bad: String(last),
    runs,
    contains,
    confidence: 0.99,
    maxRuns: 30,
    ...rest,
  });
}

/** How {@linkcode carryOut} ended. */
interface Ended {
  readonly evidence: Evidence;
  /** The first bad change; undefined when the ends were refused. */
  readonly answer?: string;
  readonly confidence: number;
  readonly problem?: string;
}

/** A bisect over changes in a line, with halving in place of git and a function in place of kernels. */
function carryOut(
  { last, run, confidence = 0.99, maxRuns = 30 }: {
    last: number;
    /** @param nth how often the change ran before */
    run: (change: number, nth: number) => Run;
    confidence?: number;
    maxRuns?: number;
  },
): Ended {
  const runs: BisectRun[] = [];
  const all = Array.from({ length: last + 1 }, (_, id) => String(id));
  let evidence = evidenceOf(last, runs, { confidence, maxRuns });
  const runOnce = (id: string): void => {
    runs.push(runOf(id, run(Number(id), runs.filter(({ change }) => change === id).length)));
    evidence = evidenceOf(last, runs, { confidence, maxRuns });
  };
  let [good, bad] = [0, last];
  for (;;) {
    const step = evidence.stepAtEnds();
    if (step && "wrong" in step) {
      const { wrong, problem: { kind, text } } = step;
      return { evidence, confidence: 0, problem: `${wrong} ${kind}: ${text}` };
    }
    const middle = String((good + bad) >> 1);
    if (step) runOnce(step.run);
    else if (bad - good > 1) {
      const verdict = evidence.verdict(middle);
      if (verdict === undefined) runOnce(middle);
      else [good, bad] = verdict === "good" ? [Number(middle), bad] : [good, Number(middle)];
    } else {
      const sure = evidence.confidence([String(bad)], all);
      const weak = sure >= confidence ? undefined : evidence.weakest();
      if (weak === undefined) return { evidence, answer: String(bad), confidence: sure };
      runOnce(weak);
      if (evidence.verdict(weak) === "bad") [good, bad] = [0, good];
    }
  }
}

/** Numbers from 0 to 1 that look random, the same each time. */
function draws(seed: number): () => number {
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

Deno.test("a steady failure takes few runs of each change, and of the last good one until it is sure", () => {
  const { evidence, answer, confidence } = carryOut({ last: 12, run: (id) => id >= 7 ? "fail" : "pass" });
  assertEquals(answer, "7");
  assert(confidence >= 0.99, String(confidence));
  assertEquals(evidence.tried.map((id) => `${id}: ${evidence.runsOf(id).length}`), [
    ...["12: 3", "0: 3", "6: 4", "9: 1", "7: 1"],
  ]);
});

Deno.test("of failures that come and go, about as many are named rightly as the confidence says", () => {
  const TIMES = 150;
  // A rate that is known is a little worse than one that is drawn, which is what the confidence speaks of.
  for (const [rate, least] of [[0.35, 0.9], [0.7, 0.9], [1, 1], [undefined, 0.93]] as const) {
    let [right, sum] = [0, 0];
    for (let seed = 0; seed < TIMES; seed++) {
      const random = draws(seed * 7919 + 1);
      const first = 1 + Math.floor(random() * 15);
      const drawn = rate ?? (random() < 0.5 ? 1 : random());
      const { answer } = carryOut({
        ...{ last: 15, confidence: 0.95, maxRuns: 200 },
        run: (id) => id >= first && random() < drawn ? "fail" : "pass",
      });
      // With a rare failure the bad end may pass so often that it is refused.
      if (answer === undefined) continue;
      sum++;
      if (answer === String(first)) right++;
    }
    assert(sum > TIMES * 0.9, `${sum} of ${TIMES} were not refused`);
    assert(right / sum >= least, `rate ${rate}: ${right} of ${sum} were right`);
  }
});

Deno.test("a flaky failure is given more runs, and one failing run proves a change bad", () => {
  const { evidence, answer, confidence } = carryOut({
    last: 8,
    // Each bad change fails in its third run, the bad end in each second one.
    run: (id, nth) => id === 8 ? (nth % 2 ? "fail" : "pass") : id >= 5 && nth % 3 === 2 ? "fail" : "pass",
  });
  assertEquals(answer, "5");
  assertEquals(evidence.runsOf("8").length, 8);
  assertEquals(evidence.runsOf("6").length, 3);
  const passes = evidence.count("4", "pass");
  assert(passes >= evidence.needed && passes > 5, `${passes} of ${evidence.needed}`);
  assert(confidence >= 0.99, String(confidence));
  assert(evidence.rate.failed < evidence.rate.runs);
});

Deno.test("when a change may not run often enough, the confidence says so", () => {
  const { answer, confidence } = carryOut({
    last: 8,
    maxRuns: 6,
    run: (id, nth) => id >= 5 && nth % 2 === 1 ? "fail" : "pass",
  });
  assertEquals(answer, "5");
  assert(confidence < 0.99 && confidence > 0.5, String(confidence));
});

Deno.test("ends that are not what they were said to be are refused", () => {
  const problemOf = (run: (id: number) => Run) => carryOut({ last: 4, run }).problem ?? "";
  assertEquals(problemOf(() => "pass"), "4 other failure: is not bad: it passed 10 of 10 runs");
  assertEquals(problemOf(() => "fail"), "0 other failure: is not good: one fails there, too: one is wrong");
  assertEquals(problemOf(() => UNBUILT), "4 build: does not build");
  assertEquals(problemOf((id) => id === 0 ? UNBUILT : "fail"), "0 build: does not build");
  assertStringIncludes(
    problemOf((id) => id === 0 ? { skipped: ["one"] } : "fail"),
    "0 nothing ran: one was skipped",
  );
  const other = { ...FAILURE, keys: ["E_OTHER"], text: "another way" };
  assertEquals(
    problemOf((id) => id === 0 ? { failures: [other] } : "fail"),
    "0 other failure: fails in another way: another way",
  );
});

Deno.test("another failure is not the one that is looked for, nor is one that the good end has as well", () => {
  const other = { ...FAILURE, keys: ["E_OTHER"], text: "it oopsed" };
  const old = { ...FAILURE, scenario: "old" };
  const evidence = evidenceOf(8, [
    ...["8", "8", "8"].map((id) => runOf(id, { failures: [old, FAILURE] })),
    ...["0", "2", "2", "2"].map((id) => runOf(id, { passed: ["one"], failures: [old] })),
    ...["4", "4"].map((id) => runOf(id, { failures: [other] })),
  ]);
  assertEquals(evidence.failure, FAILURE);
  assertEquals(evidence.verdict("2"), "good");
  assertEquals(evidence.verdict("4"), { kind: "other failure", text: "fails in another way: it oopsed" });
});

Deno.test("one run that says nothing is passed over; a second one at the same change skips it", () => {
  const lost: Partial<BisectRun> = { skip: { kind: "boot", text: "does not boot" } };
  const bads = ["8", "8", "8"].map((id) => runOf(id, "fail"));
  const kindAfter = (...runs: Run[]) => {
    const verdict = evidenceOf(8, [...bads, ...runs.map((run) => runOf("4", run))]).verdict("4");
    return typeof verdict === "object" ? verdict.kind : verdict;
  };
  assertEquals([kindAfter(lost), kindAfter(lost, "pass")], [undefined, undefined]);
  assertEquals(kindAfter(lost, lost), "boot");
  assertEquals(kindAfter(lost, "fail"), "bad");
  assertEquals(kindAfter(lost, "pass", "pass", "pass"), "good");
  // What does not build will not build.
  assertEquals(kindAfter(UNBUILT), "build");
  assertEquals(evidenceOf(8, [runOf("8", lost)]).stepAtEnds(), { run: "8" });
  assertEquals(evidenceOf(8, [runOf("8", lost), runOf("8", lost)]).stepAtEnds(), {
    wrong: "8",
    problem: { kind: "boot", text: "does not boot" },
  });
});

Deno.test("an answer rests on the good changes that no other good one was made on", () => {
  const runs = [runOf("8", "fail"), ...["0", "2", "5"].map((id) => runOf(id, "pass"))];
  assertEquals(evidenceOf(8, runs, { confidence: 0.5 }).weakest(), "5");
  assertEquals(evidenceOf(8, runs, { confidence: 0.5, maxRuns: 1 }).weakest(), undefined);
  // What was made on a bad change is not good: git is told of the change that proved it.
  const turned = [...runs, runOf("2", "fail")];
  assertEquals(evidenceOf(8, turned, { confidence: 0.5 }).told(), { bad: ["2"], good: ["0"], skip: [] });
});

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
