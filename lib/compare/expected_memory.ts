// SPDX-License-Identifier: MIT

import { parseSmapsVmFlags, vmFlagTable } from "../abi/vm_flags.ts";
import type { PredictedArea, PredictedPage } from "../model/predict_stop.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { isAnonymousPage } from "./pagemap.ts";
import type { SmapsEntry } from "./proc_maps.ts";

/** A page that the image must hold: by the model's content, or by the hash of what /proc/PID/mem shows. */
export interface ExpectedPage {
  readonly page: number;
  readonly predicted: PredictedPage | undefined;
}

/** One VMA as the image must show it. Page numbers. */
export interface ExpectedVma {
  readonly start: number;
  readonly end: number;
  readonly entry: SmapsEntry;
  /** vm_flags as smaps shows them. */
  readonly flags: bigint;
  /** The predicted areas that tile it; empty where the model says nothing. */
  readonly areas: readonly PredictedArea[];
  /** Ascending. */
  readonly pages: readonly ExpectedPage[];
}

const PFN_MAPPED = 0x400n | 0x4000n;

/**
 * The VMAs that an image must hold: boundaries from /proc/PID/smaps, pages from the model where steps made the area
 * and from /proc/PID/pagemap elsewhere. Where both speak and disagree the judge is told, since one of them is wrong.
 */
export function expectedMemory(context: ComparisonContext): ExpectedVma[] {
  const { target, kernel, prediction } = context;
  const table = vmFlagTable(context.series, context.arch === "x86_64" ? 8 : 4);
  const seen = new Set(
    target.pagemap.filter((entry) => isAnonymousPage(entry, kernel.zeroFrame)).map((entry) => entry.page),
  );
  const sorted = [...new Set([...seen, ...(prediction?.pages.keys() ?? [])])].sort((a, b) => a - b);
  let next = 0;
  return target.smaps.map((entry) => {
    const start = Number(entry.start / 4096n);
    const end = Number(entry.end / 4096n);
    const flags = parseSmapsVmFlags(entry.vmFlags.join(" "), table).bits;
    const areas = (prediction?.areas ?? []).filter((area) => area.start < end && area.end > start);
    const pages: ExpectedPage[] = [];
    while (next < sorted.length && sorted[next]! < start) next++;
    for (; next < sorted.length && sorted[next]! < end; next++) {
      const expected = expectedPage(sorted[next]!, { context, seen, areas, flags });
      if (expected) pages.push(expected);
    }
    return { start, end, entry, flags, areas, pages };
  });
}

function expectedPage(
  page: number,
  { context, seen, areas, flags }: {
    context: ComparisonContext;
    seen: ReadonlySet<number>;
    areas: readonly PredictedArea[];
    flags: bigint;
  },
): ExpectedPage | undefined {
  const byModel = context.prediction?.pages.get(page);
  // Pages of VM_IO and VM_PFNMAP areas show no FILE bit, but are no pages of the target's own.
  const byPagemap = seen.has(page) && (flags & PFN_MAPPED) === 0n;
  const modelled = byModel !== undefined || areas.some((area) => area.start <= page && page < area.end);
  if (modelled && (byModel !== undefined) !== byPagemap) {
    context.judge.report({
      id: "E_ORACLES_DISAGREE",
      path: `page 0x${(page * 4096).toString(16)}`,
      message: `the model and /proc/PID/pagemap disagree on whether the page has contents of its own`,
      expected: byModel ? `yes: ${byModel.why}` : "no: no step wrote it",
      actual: byPagemap ? "yes" : "no",
    });
  }
  if (modelled ? byModel === undefined : !byPagemap) return undefined;
  return { page, predicted: byModel };
}
