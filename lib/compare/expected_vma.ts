// SPDX-License-Identifier: MIT

import type { PredictedArea, PredictedPage } from "../model/predict_stop.ts";
import type { Source } from "./byte_coverage.ts";
import { shownAddress } from "../model/state/page_set.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import type { SmapsEntry } from "./proc_maps.ts";

/** A page that the image must hold: by the model's content, or by the hash of the target's memory. */
export interface ExpectedPage {
  readonly page: number;
  readonly predicted: PredictedPage | undefined;
  /** Bytes of it that a debugger wrote, where all else of it is only observed. */
  readonly written?: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
  /** A known error of the code as posted is the reason that the image has it. */
  readonly knownError?: { readonly id: string; readonly message: string };
  /** It may be missing: nothing tells which ones of the VMA's optional pages are saved, only how many. */
  readonly isOptional?: true;
}

/** Pages of a VMA. */
export interface ExpectedPages {
  readonly pages: readonly ExpectedPage[];
  /** How many of the optional ones must be in the image. */
  readonly optional: number;
}

/** One VMA as the image must show it. Page numbers. */
export interface ExpectedVma extends ExpectedPages {
  readonly start: number;
  readonly end: number;
  readonly entry: SmapsEntry;
  /** vm_flags as smaps shows them, or as that kernel's rules make them. */
  readonly flags: bigint;
  readonly flagsBy: Source;
  /** The predicted areas that tile it; empty where the model says nothing. */
  readonly areas: readonly PredictedArea[];
}

/** Whether predicted areas cover a whole VMA. */
export function isModelled({ start, end, areas }: Pick<ExpectedVma, "start" | "end" | "areas">): boolean {
  let covered = start;
  for (const area of areas) {
    if (area.start > covered) return false;
    covered = Math.max(covered, area.end);
  }
  return covered >= end;
}

/** Model and pagemap disagree about a page. */
export function reportPage(
  { collector }: ComparisonContext,
  page: number,
  { byModel, byPagemap }: { byModel: PredictedPage | undefined; byPagemap: boolean },
): void {
  const message = "the model and /proc/PID/pagemap disagree on whether the page has contents of its own";
  const expected = byModel ? `yes: ${byModel.why}` : "no: no step wrote it";
  collector.agree(`page ${shownAddress(page)}`, message, { expected, actual: byPagemap ? "yes" : "no" });
}
