// SPDX-License-Identifier: MIT

import type { KernelArch } from "../abi/arch.ts";
import type { Dialect } from "../abi/dialect.ts";
import type { KernelSeries } from "../abi/series.ts";
import type { StopPrediction } from "../model/predict_stop.ts";
import type { Judge } from "./judge.ts";
import type { KernelObservation, TargetObservation } from "./observation.ts";

/** What an image is compared with. */
export interface CompareOptions {
  /** The kernel that wrote it. */
  readonly arch: KernelArch;
  /** That kernel's version, for the tables of vm_flags and page protections. */
  readonly series: KernelSeries;
  /** Whose kernel code wrote the image. */
  readonly dialect: Dialect;
  /** What the kernel says of itself. */
  readonly kernel: KernelObservation;
  /** What other interfaces said of the target. */
  readonly target: TargetObservation;
  /** What the steps imply; undefined for a program without a step list. */
  readonly prediction: StopPrediction | undefined;
  /** Whether the target checkpointed itself. */
  readonly self: boolean;
  /** Number of the checkpoint system call, which a self checkpoint has in orig_ax. */
  readonly checkpointNr: number;
}

/** The same while an image is compared: with the judge that collects what is found. */
export interface ComparisonContext extends CompareOptions {
  readonly judge: Judge;
}
