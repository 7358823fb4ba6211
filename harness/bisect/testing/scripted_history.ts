// SPDX-License-Identifier: MIT

import type { BisectRun, Failure } from "../bisect_run.ts";
import { type Change, ChangeHistory } from "../change_history.ts";
import { type BisectStanding, nextStep } from "../next_step.ts";

/** The failure of scripted runs. */
export const FAILURE: Failure = { scenario: "one", keys: ["E_ONE"], lost: false, text: "one is wrong" };

/** Makes a change with the number as its id. */
export function scriptedChange(number: number, parents: readonly number[] = [number - 1]): Change {
  return {
    ...{ id: String(number), name: `${String(number).padStart(4, "0")}-change.patch` },
    title: `change ${number}`,
    ...{ author: "Ada Byron <ada@example.org>", date: "2026-01-01T00:00:00+00:00" },
    parents: parents.map(String),
  };
}

/** Changes 0 to `last`, one behind the other. */
export function scriptedLine(last: number): ChangeHistory {
  return new ChangeHistory(Array.from({ length: last + 1 }, (_, number) => scriptedChange(number)));
}

/** A run that passes or fails, or is what else is said of it. */
export function scriptedRun(change: string, how: "pass" | "fail" | Partial<BisectRun>): BisectRun {
  const empty = { change, passed: [], skipped: [], failures: [], seconds: 1, buildSeconds: 0.5, files: "" };
  if (how === "pass") return { ...empty, passed: ["one"] };
  if (how === "fail") return { ...empty, failures: [FAILURE] };
  return { ...empty, ...how };
}

/** A run of a change that does not build. */
export const UNBUILT: Partial<BisectRun> = { skip: { kind: "build", reason: "does not build" } };

/**
 * Carries a bisect out, with a function in place of kernels. It gives the last standing and the ids in the
 * order of the runs.
 */
export function carryOut(
  { history, run, ends, confidence = 0.99, maxRuns = 30 }: {
    history: ChangeHistory;
    /** @param nth how often the change ran before */
    run: (change: string, nth: number) => "pass" | "fail" | Partial<BisectRun>;
    ends?: { good: string; bad: string };
    confidence?: number;
    maxRuns?: number;
  },
): { standing: BisectStanding; order: string[] } {
  const { good, bad } = ends ?? { good: history.changes[0]!.id, bad: history.changes.at(-1)!.id };
  const runs: BisectRun[] = [];
  for (;;) {
    const standing = nextStep({ history, good, bad, runs, confidence, maxRuns });
    const { step } = standing;
    if (step.kind !== "run") return { standing, order: runs.map(({ change }) => change) };
    const nth = runs.filter(({ change }) => change === step.change).length;
    if (nth >= maxRuns) throw new Error(`change ${step.change} ran ${nth} times`);
    runs.push(scriptedRun(step.change, run(step.change, nth)));
  }
}
