// SPDX-License-Identifier: MIT

import type { Comparison } from "../../../lib/compare/compare_image.ts";
import type { CompareOptions } from "../../../lib/compare/comparison_context.ts";
import type { KernelObservation } from "../../../lib/compare/observation.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import { checkImage } from "../../check/check_image.ts";
import { checkReply, type ExpectedReply } from "../../check/check_reply.ts";
import type { ObservedCheckpoint } from "./observe_checkpoint.ts";

/** What a guest was built as, for the comparison. */
export interface GuestKernel extends Pick<CompareOptions, "arch" | "series" | "dialect" | "revision"> {
  /** Number of the system call for the agent. */
  readonly checkpointNr: number;
  readonly observed: KernelObservation;
}

/** One image of a case, and what was found in it; known errors and sources where a comparison was made. */
export interface StopOutcome
  extends
    Pick<Comparison, "findings" | "counts" | "volatile" | "pages">,
    Partial<Pick<Comparison, "sources" | "knownErrors">> {
  readonly label: string;
  readonly image: Uint8Array;
  readonly notes?: readonly string[] | undefined;
}

/** A second look at a stopped process, after its checkpoint. */
export type SecondCheck = (seen: ObservedCheckpoint) => Promise<Pick<StopOutcome, "findings" | "notes">>;

/** What a case gave. It passes when no stop and no part of its own has a finding. */
export interface CaseOutcome {
  readonly stops: readonly StopOutcome[];
  /** Findings that belong to no image: set-up that failed, a target that died. */
  readonly findings: readonly Finding[];
}

interface JudgeOptions extends Pick<CompareOptions, "prediction" | "self" | "program"> {
  readonly kernel: GuestKernel;
  /** How the call must end; it must succeed when not given. */
  readonly expected: ExpectedReply | undefined;
  /** The target's own pid, where that is not what the guest calls it. */
  readonly pid?: number | undefined;
  readonly secondCheck?: SecondCheck | undefined;
}

/** Judges a checkpoint that was observed: its reply, what it changed, and its image. */
export async function judgeCheckpoint(
  label: string,
  seen: ObservedCheckpoint,
  { kernel: { observed, checkpointNr: _, ...kernel }, expected, pid, secondCheck, ...others }: JudgeOptions,
): Promise<StopOutcome> {
  const { image, observation, reply, changes } = seen;
  const target = { ...observation, pid: pid ?? observation.pid };
  const comparison = checkImage(image, { ...kernel, ...others, kernel: observed, target });
  const { findings: more = [], notes } = await secondCheck?.(seen) ?? {};
  const findings = [
    ...checkReply(reply, expected, kernel.dialect),
    ...changes,
    ...comparison.findings,
    ...more,
  ];
  return { ...comparison, label, image, findings, notes };
}
