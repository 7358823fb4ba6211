// SPDX-License-Identifier: MIT

/** A failing scenario, with what it can be told from others by. */
export interface Failure {
  readonly scenario: string;
  /** Ids of findings, and titles of complaints of the kernel behind `splat: `. */
  readonly keys: readonly string[];
  /** Whether the guest was lost. */
  readonly lost: boolean;
  /** In a line. */
  readonly text: string;
}

/** Why a run says nothing of the failure. */
export type SkipKind = "build" | "boot" | "guest lost" | "deadline" | "nothing ran" | "other";

/** One run of the suite on the kernel after one change. */
export interface BisectRun {
  /** Id of the change. */
  readonly change: string;
  /** Set when it came to no result. */
  readonly skip?: { readonly kind: SkipKind; readonly reason: string };
  /** Names of scenarios. */
  readonly passed: readonly string[];
  readonly skipped: readonly string[];
  readonly failures: readonly Failure[];
  /** Of all of it, with the building. */
  readonly seconds: number;
  readonly buildSeconds: number;
  /** Directory of its files, from that of the bisect. */
  readonly files: string;
}

/** What a run says of one failure. */
export type RunVerdict =
  | { readonly kind: "fail" | "pass" }
  | { readonly kind: "skip"; readonly reason: string };

/** Whether two failures are the same: of one scenario, with a finding or complaint in common. */
export function isSameFailure(a: Failure, b: Failure): boolean {
  if (a.scenario !== b.scenario) return false;
  if (a.keys.length === 0 && b.keys.length === 0) return a.lost === b.lost;
  return a.keys.some((key) => b.keys.includes(key));
}

/** What a run says of a failure; another failure of the same scenario is none. */
export function verdictOfRun({ skip, passed, skipped, failures }: BisectRun, wanted: Failure): RunVerdict {
  if (skip) return { kind: "skip", reason: skip.reason };
  const { scenario } = wanted;
  if (failures.some((failure) => isSameFailure(failure, wanted))) return { kind: "fail" };
  const other = failures.find((failure) => failure.scenario === scenario);
  if (other) return { kind: "skip", reason: `fails in another way: ${other.text}` };
  if (passed.includes(scenario)) return { kind: "pass" };
  const why = skipped.includes(scenario) ? "was skipped" : "did not run";
  return { kind: "skip", reason: `${scenario} ${why}` };
}
