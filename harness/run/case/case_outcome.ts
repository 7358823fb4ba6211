// SPDX-License-Identifier: MIT

import type { KernelArch } from "../../../lib/abi/arch.ts";
import type { Dialect } from "../../../lib/abi/dialect.ts";
import type { KernelSeries } from "../../../lib/abi/series.ts";
import type { ByteCounts } from "../../../lib/compare/byte_coverage.ts";
import type { Comparison } from "../../../lib/compare/compare_image.ts";
import type { KernelObservation } from "../../../lib/compare/observation.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import type { ObservedCheckpoint } from "./observe_checkpoint.ts";

/** What a guest was built as, for the comparison. */
export interface GuestKernel {
  readonly arch: KernelArch;
  readonly series: KernelSeries;
  /** Whose kernel code answers the call. */
  readonly dialect: Dialect;
  /** Number of the system call for the agent. */
  readonly checkpointNr: number;
  /** The revision that images of a v11 kernel have; 1 when not given. */
  readonly revision?: number | undefined;
  readonly observed: KernelObservation;
}

/** One image of a case, and what was found in it. */
export interface StopOutcome {
  readonly label: string;
  readonly image: Uint8Array;
  readonly findings: readonly Finding[];
  readonly counts: ByteCounts;
  readonly volatile: Comparison["volatile"];
  /** Explained bytes by who explains them; nothing where no comparison was made. */
  readonly sources?: Comparison["sources"];
  /** Known errors of the code as posted, by id. */
  readonly knownErrors?: Comparison["knownErrors"];
  readonly pages: number;
  /** What a second check counted, a line each. */
  readonly notes?: readonly string[];
}

/** A second look at a stopped process, after its checkpoint. */
export type SecondCheck = (seen: ObservedCheckpoint) => Promise<Pick<StopOutcome, "findings" | "notes">>;

/** What a case gave. It passes when no stop and no part of its own has a finding. */
export interface CaseOutcome {
  readonly stops: readonly StopOutcome[];
  /** Findings that belong to no image: set-up that failed, a target that died. */
  readonly findings: readonly Finding[];
}

/** The outcome of a stop that was observed and compared, with what a second check adds. */
export async function stopOutcome(
  label: string,
  seen: ObservedCheckpoint,
  { counts, volatile, sources, knownErrors, pages, findings }: Comparison,
  secondCheck?: SecondCheck,
): Promise<StopOutcome> {
  const outcome = { label, image: seen.image, findings, counts, volatile, sources, knownErrors, pages };
  if (!secondCheck) return outcome;
  const { findings: more, notes = [] } = await secondCheck(seen);
  return { ...outcome, findings: [...findings, ...more], notes };
}

/** The same for an image that no page of a target explains: none of its bytes has to be there. */
export function refusedOutcome(label: string, image: Uint8Array, findings: readonly Finding[]): StopOutcome {
  const counts = { total: image.length, predicted: 0, observed: 0, volatile: 0, unexplained: image.length };
  return { label, image, findings, counts, volatile: new Map(), pages: 0 };
}
