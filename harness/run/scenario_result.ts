// SPDX-License-Identifier: MIT

import { type Finding, mismatch } from "../../lib/image/finding.ts";
import type { CaseOutcome } from "./case/observe_checkpoint.ts";
import type { ScenarioRecord } from "./run_result.ts";

/** One scenario's result: what is recorded of it, and what is too much for that. */
export interface ScenarioResult extends
  Pick<
    ScenarioRecord,
    "scenario" | "phase" | "status" | "reason" | "reproduced" | "milliseconds" | "splats"
  > {
  readonly outcome: CaseOutcome | undefined;
  /** The kernel log from the scenario's start to its end. */
  readonly kernelLog: string;
  readonly guestCommand: string;
  /** Directory of a recording of the failure. */
  readonly recording?: string;
  readonly fault?: HarnessFault;
}

/** What a result is of, and what is known of it so far. */
export type ResultStart = Pick<ScenarioResult, "scenario"> & Partial<ScenarioResult>;

/** A result with nothing in it yet but that. */
export function startResult(start: ResultStart): ScenarioResult {
  return {
    ...{ status: "pass", outcome: undefined, milliseconds: 0, kernelLog: "", splats: [], guestCommand: "" },
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

/** A piece of the kernel log without its end. */
export const TRUNCATED_LOG: Finding = mismatch("E_KERNEL_LOG", {
  path: "kernel log",
  message: "the log may lack a part: a line that was written to it did not come, or a flood went over it",
});

/**
 * An error of ckptest's own that nobody foresaw ended a scenario, such as a parser that cannot take a line of `/proc`.
 * It says nothing of the kernel.
 */
export class HarnessFault extends Error {
  override readonly name = "HarnessFault";
  /** What the guest had answered last, images among it, by names for files. */
  readonly inputs: ReadonlyMap<string, Uint8Array>;

  constructor(cause: unknown, inputs: ReadonlyMap<string, Uint8Array> = new Map()) {
    super(cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause), { cause });
    this.inputs = inputs;
  }

  /** The error as a fault; one that is a fault already stays as it is. */
  static of(error: unknown): HarnessFault {
    return error instanceof HarnessFault ? error : new HarnessFault(error);
  }

  get trace(): string {
    return this.cause instanceof Error ? this.cause.stack ?? this.message : this.message;
  }

  toFinding(): Finding {
    return mismatch("E_HARNESS", {
      path: "ckptest",
      message: "an error of ckptest itself, which says nothing of the kernel: please report it",
      actual: this.message.split("\n", 1)[0]!,
    });
  }
}
