// SPDX-License-Identifier: MIT

import { type Finding, mismatch } from "../../lib/image/finding.ts";
import type { DecodedFrames } from "../triage/decode_frames.ts";
import type { Splat } from "../triage/splat.ts";
import type { AllowedSplat } from "../triage/splat_allowlist.ts";
import type { CaseOutcome } from "./case/case_outcome.ts";
import { HarnessFault } from "./harness_fault.ts";

/** How a scenario ended. `lost` says nothing about its image: the guest went away. */
type Status = "pass" | "fail" | "skip" | "lost";

/** What happened when a scenario was run again, each time alone in a fresh guest. */
export interface Reruns {
  readonly runs: number;
  /** How many of them failed, or lost their guest. */
  readonly failed: number;
  /** How many of them showed a splat with the same fingerprint as the first run. */
  readonly sameSplat: number;
}

/** A complaint of the kernel as it is reported. */
export interface ReportedSplat {
  readonly splat: Splat;
  readonly decoded: DecodedFrames | undefined;
  /** The entry of the allowlist that it falls under: then it fails nothing. */
  readonly allowed: AllowedSplat | undefined;
  /** Set where its stack could not be decoded because of an error of ckptest itself. */
  readonly fault?: HarnessFault;
}

/** One scenario's result. */
export interface ScenarioResult {
  readonly scenario: string;
  /**
   * What the result is of, where it is not the scenario itself: the boot of a guest (`scenario` is "boot"
   * then), or what the kernel said after the end of a scenario and before the next one's start.
   */
  readonly phase?: "boot" | "afterwards";
  readonly status: Status;
  /** Why it was skipped, or how the guest was lost. */
  readonly reason: string | undefined;
  readonly outcome: CaseOutcome | undefined;
  readonly milliseconds: number;
  /** The kernel log from the scenario's start to its end. */
  readonly kernelLog: string;
  readonly splats: readonly ReportedSplat[];
  /** For a scenario that failed or lost its guest; undefined when it was not run again. */
  readonly reruns: Reruns | undefined;
  readonly guestCommand: string;
  readonly fault?: HarnessFault;
}

/** What a result is of, and what is known of it so far. */
export type ResultStart = Pick<ScenarioResult, "scenario"> & Partial<ScenarioResult>;

/** A result with nothing in it yet but that. */
export function startResult(start: ResultStart): ScenarioResult {
  return {
    ...{ status: "pass", reason: undefined, outcome: undefined, milliseconds: 0, kernelLog: "" },
    ...{ splats: [], reruns: undefined, guestCommand: "" },
    ...start,
  };
}

/** The result of a scenario that was ended by an error of ckptest itself. */
export function faultResult(start: ResultStart, error: unknown): ScenarioResult {
  const fault = HarnessFault.of(error);
  const outcome = { stops: [], findings: [fault.toFinding()] };
  return startResult({ ...start, status: "fail", outcome, fault });
}

/**
 * No stop and no part of the case has a finding, and there was a stop at all: an empty case proves nothing.
 */
export function isClean(outcome: CaseOutcome): boolean {
  return outcome.stops.length > 0 && outcome.findings.length === 0 &&
    outcome.stops.every((stop) => stop.findings.length === 0 && stop.counts.unexplained === 0);
}

/** The complaints that no entry of the allowlist covers. */
export function failingSplats(splats: readonly ReportedSplat[]): Splat[] {
  return splats.filter(({ allowed }) => !allowed).map(({ splat }) => splat);
}

/** The findings that stand for them, and for what could not be decoded. */
export function splatFindings(splats: readonly ReportedSplat[]): Finding[] {
  const complaints = failingSplats(splats).map(({ title }) =>
    mismatch("E_SPLAT", { path: "kernel log", message: "the kernel complained", actual: title })
  );
  return [...complaints, ...splats.flatMap(({ fault }) => fault ? [fault.toFinding()] : [])];
}

/** A piece of the kernel log without its end. */
export const TRUNCATED_LOG: Finding = mismatch("E_KERNEL_LOG", {
  path: "kernel log",
  message: "the log may lack a part: a line that was written to it did not come, or a flood went over it",
});
