// SPDX-License-Identifier: MIT
import type { BuildStage } from "./build_error.ts";

/** A sign of life from a kernel build. */
export interface BuildProgress {
  stage: BuildStage;
  /** What is going on, in a few words. */
  message: string;
  /** Seconds since the stage began. */
  seconds: number;
  /** Steps that make has carried out so far (compile, assemble, link), in stage `build`. */
  steps?: number;
  /** Steps that the last build from nothing of the same tree took, when known. */
  expectedSteps?: number;
}

/** Receives signs of life; called some times a second at most. */
export type OnBuildProgress = (progress: BuildProgress) => void;
