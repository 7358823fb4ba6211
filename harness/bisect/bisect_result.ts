// SPDX-License-Identifier: MIT

import { EXIT_STATUS, type ExitStatus } from "../../vm/host/errors.ts";
import type { BisectRequest } from "./bisect_request.ts";
import type { BisectRun, Failure } from "./bisect_run.ts";
import type { Change } from "./change_history.ts";
import type { FailureRate } from "./failure_rate.ts";
import type { BisectStanding, ChangeVerdict } from "./next_step.ts";

/** Raised when what `bisect.json` says changes its meaning. */
export const BISECT_RESULT_SCHEMA = 1;

/** The file of a bisect, `bisect.json`. */
export interface BisectResult {
  readonly schema: typeof BISECT_RESULT_SCHEMA;
  /** When it began, as Date.toISOString() writes it. */
  readonly started: string;
  /** Of all runs together. */
  readonly seconds: number;
  readonly request: BisectRequest;
  /**
   * `found`: the first bad change is named; `several`: it is one of those named, the others could not be
   * tried; `refused`: the ends are not what they were said to be.
   */
  readonly status: "found" | "several" | "refused";
  /** The first bad change, or all that may be it; oldest first. */
  readonly firstBad: readonly Change[];
  /** Probability that the first bad change is among them. */
  readonly confidence: number;
  /** The failure that was looked for. */
  readonly failure?: Failure;
  /** How often it showed at bad changes. */
  readonly rate: FailureRate;
  /** Why it was refused. */
  readonly problem?: string;
  readonly good: Change;
  readonly bad: Change;
  /** How many changes there are between the ends, the bad one included. */
  readonly changes: number;
  /** What came of each change that was tried, in the order of the first try. */
  readonly steps: readonly BisectStep[];
}

/** A change that was tried. */
export interface BisectStep {
  readonly change: Change;
  readonly verdict: ChangeVerdict["kind"];
  /** Why it was skipped. */
  readonly reason?: string;
  readonly runs: readonly Omit<BisectRun, "change" | "passed" | "skipped">[];
}

/** Puts a result together. */
export function buildBisectResult(
  { started, request, runs, standing, changeOf, ends, changes }: {
    started: string;
    request: BisectRequest;
    runs: readonly BisectRun[];
    standing: BisectStanding;
    changeOf: (id: string) => Change;
    ends: { good: string; bad: string };
    changes: number;
  },
): BisectResult {
  const { step, failure, rate, confidence, verdicts, suspects } = standing;
  const refused = step.kind === "refused";
  return {
    ...{ schema: BISECT_RESULT_SCHEMA, started, request },
    seconds: runs.reduce((sum, { seconds }) => sum + seconds, 0),
    status: refused ? "refused" : suspects.length === 1 ? "found" : "several",
    firstBad: refused ? [] : suspects.map(changeOf),
    confidence: refused ? 0 : confidence,
    ...(failure ? { failure } : {}),
    rate,
    ...(refused ? { problem: `${changeOf(step.change).name} ${step.problem}` } : {}),
    ...{ good: changeOf(ends.good), bad: changeOf(ends.bad), changes },
    steps: [...verdicts].map(([id, verdict]) => ({
      change: changeOf(id),
      verdict: verdict.kind,
      ...(verdict.kind === "skipped" ? { reason: verdict.reason } : {}),
      runs: runs.filter(({ change }) => change === id).map((
        { change: _change, passed: _passed, skipped: _skipped, ...run },
      ) => run),
    })),
  };
}

/** What a bisect ends with: 0 only when it names one change. */
export function exitStatusOfBisect({ step, suspects }: BisectStanding): ExitStatus {
  if (step.kind !== "refused") return suspects.length === 1 ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
  switch (step.because) {
    case "build":
      return EXIT_STATUS.buildFailed;
    case "boot":
    case "guest lost":
      return EXIT_STATUS.guestLost;
    case "nothing ran":
      return EXIT_STATUS.nothingRan;
    case "wrong end":
      return EXIT_STATUS.usage;
    default:
      return EXIT_STATUS.testFailed;
  }
}
