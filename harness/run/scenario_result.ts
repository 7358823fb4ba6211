// SPDX-License-Identifier: MIT

import type { CaseOutcome } from "./case/run_case.ts";
import type { DecodedFrames } from "../triage/decode_frames.ts";
import type { Splat } from "../triage/splat.ts";
import type { AllowedSplat } from "../triage/splat_allowlist.ts";

/** What became of a scenario. `lost` says nothing about its image: the guest went away. */
export type Status = "pass" | "fail" | "skip" | "lost";

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
  /** Complaints in that log. */
  readonly splats: readonly ReportedSplat[];
  /** For a scenario that failed or lost its guest: whether it did so again alone in a fresh guest. */
  readonly reproduced: boolean | undefined;
  /** Undefined when it was not run again. */
  readonly reruns: Reruns | undefined;
  /** How the guest was started. */
  readonly guestCommand: string;
}
