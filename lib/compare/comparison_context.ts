// SPDX-License-Identifier: MIT

import type { KernelArch } from "../abi/arch.ts";
import type { Dialect, KernelSeries } from "../abi/series.ts";
import type { StopPrediction } from "../model/predict_stop.ts";
import type { ProgramFacts } from "../model/state/model_state.ts";
import type { FindingCollector } from "./finding_collector.ts";
import type { KernelObservation, TargetObservation } from "./observation.ts";

/** What an image is compared with. */
export interface CompareOptions {
  /** The kernel that wrote it. */
  readonly arch: KernelArch;
  /** That kernel's version, for the tables of vm_flags and page protections. */
  readonly series: KernelSeries;
  /** Whose kernel code wrote the image. */
  readonly dialect: Dialect;
  /** The revision that images of a v11 kernel must have; 1 when not given. */
  readonly revision?: number | undefined;
  /** What the kernel says of itself. */
  readonly kernel: KernelObservation;
  /** What other interfaces said of the target. */
  readonly target: TargetObservation;
  /** What the steps imply; undefined for a program without a step list. */
  readonly prediction: StopPrediction | undefined;
  /** How the target called, if it checkpointed itself. */
  readonly self: SelfCall | undefined;
  /** What the target's program file tells; undefined where the program is not ours. */
  readonly program?: ProgramFacts | undefined;
}

/** A checkpoint of the target by itself. */
export interface SelfCall {
  /** Number of the system call. */
  readonly nr: number;
  /** What it passed: pid, file descriptor, flags. */
  readonly args: readonly [pid: bigint, fd: bigint, flags: bigint];
  /** Where the target's scratch memory lies, which does not change between its call and its stop. */
  readonly scratch: { readonly start: bigint; readonly end: bigint };
}

/** The same while an image is compared: with the collector of what is found. */
export interface ComparisonContext extends CompareOptions {
  readonly collector: FindingCollector;
}
