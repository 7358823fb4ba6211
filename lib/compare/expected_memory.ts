// SPDX-License-Identifier: MIT

import { hex } from "../bytes.ts";
import { shownByteText } from "../printable.ts";
import { PAGE_SIZE } from "../abi/arch.ts";
import { parseSmapsVmFlags, VM, type VmFlagTable, vmFlagTable } from "../abi/vm_flags.ts";
import type { PredictedArea } from "../model/predict_stop.ts";
import { rangesWithin, shownAddress } from "../model/state/page_set.ts";
import { PROTECTION_KEY_SHIFT } from "../model/state/vm_flag_rules.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import { isAnonymousPage, type PagemapEntry } from "./pagemap.ts";
import { type ExpectedPage, type ExpectedPages, type ExpectedVma, reportPage } from "./expected_vma.ts";
import { expectedPostedPages, postedFlags } from "./posted_memory.ts";
import { type MapsEntry, nameOf, placeOf, type SmapsEntry } from "./proc_maps.ts";

const PFN_MAPPED = 0x400n | 0x4000n;

/**
 * The VMAs that an image must hold: boundaries from /proc/PID/smaps, pages from the model where steps made the area
 * and from /proc/PID/pagemap elsewhere. Where both speak and disagree it is reported, since one of them is wrong.
 */
export function expectedMemory(context: ComparisonContext): ExpectedVma[] {
  const { target, prediction } = context;
  const table = vmFlagTable(context.series, context.arch === "x86_64" ? 8 : 4);
  reportMapsAgainstSmaps(context);
  reportPageStates(context);
  const pagesOf = context.dialect === "v11" ? expectedPostedPages(context) : portPages(context);
  const predicted = prediction?.areas ?? [];
  return target.smaps.map((entry) => {
    const start = Number(entry.start) / PAGE_SIZE;
    const end = Number(entry.end) / PAGE_SIZE;
    const areas = rangesWithin(predicted, { start, end }).map((area) => ({
      ...area,
      flags: area.flags | flagsOfKernel(area, entry),
    }));
    const vma = { start, end, entry, areas, ...flagsOf(entry, areas, { context, table }) };
    return { ...vma, ...pagesOf(vma) };
  });
}

/** What smaps alone tells of an area's flags: they depend on the kernel's options and on the processor. */
function flagsOfKernel({ flags }: PredictedArea, { vmFlags, sizes }: SmapsEntry): bigint {
  // CONFIG_MEM_SOFT_DIRTY: every mapping has the flag from its beginning, until anybody clears it.
  const dirty = vmFlags.includes("sd") ? VM.SOFTDIRTY : 0n;
  // execute_only_pkey (arch/x86/mm/pkeys.c): where there are protection keys, one is for what may only be executed.
  const isExecuteOnly = (flags & (VM.READ | VM.WRITE | VM.EXEC)) === VM.EXEC;
  return dirty | (isExecuteOnly ? protectionKey(sizes) : 0n);
}

function protectionKey(sizes: SmapsEntry["sizes"]): bigint {
  return BigInt(sizes.get("ProtectionKey") ?? 0) << PROTECTION_KEY_SHIFT;
}

/** Gives the pages of VMAs, which must come in ascending order. */
function portPages(
  context: ComparisonContext,
): (vma: Omit<ExpectedVma, keyof ExpectedPages>) => ExpectedPages {
  const { target, kernel, prediction } = context;
  const seen = new Set(
    target.pagemap.filter((entry) => isAnonymousPage(entry, kernel.zeroFrame)).map((entry) => entry.page),
  );
  const sorted = [...new Set([...seen, ...(prediction?.pages.keys() ?? [])])].sort((a, b) => a - b);
  const copied = copiedPages(context, seen);
  let next = 0;
  return ({ start, end, areas, flags }) => {
    const pages: ExpectedPage[] = [];
    while (next < sorted.length && sorted[next]! < start) next++;
    for (; next < sorted.length && sorted[next]! < end; next++) {
      const expected = expectedPage(sorted[next]!, { context, seen, areas, flags });
      const written = copied.get(sorted[next]!);
      if (expected) pages.push(written ? { ...expected, written } : expected);
    }
    return { pages, optional: 0 };
  };
}

/**
 * The pages that a debugger has copied outside of all areas, with the bytes that it wrote. Each must be the
 * target's own, or the scenario did not make what it is about.
 */
function copiedPages(
  { collector, target, prediction }: ComparisonContext,
  seen: ReadonlySet<number>,
): ReadonlyMap<number, NonNullable<ExpectedPage["written"]>> {
  const pages = new Map<number, NonNullable<ExpectedPage["written"]>>();
  for (const { place, offset, bytes } of prediction?.copied ?? []) {
    const start = placeOf(place, target.smaps);
    const page = start === undefined ? undefined : Number(start / 4096n) + Math.floor(offset / PAGE_SIZE);
    if (page === undefined || !seen.has(page)) {
      const message = "a debugger wrote there, but /proc/PID/pagemap shows no page of the target's own";
      const actual = page === undefined ? `no ${place}` : "none";
      const path = `${place}+${hex(offset)}`;
      collector.agree(path, message, { expected: "an anonymous page", actual });
    } else {
      pages.set(page, [...pages.get(page) ?? [], ...bytes ? [{ offset: offset % PAGE_SIZE, bytes }] : []]);
    }
  }
  return pages;
}

/** Both files show the same lines: one that differs was changed on its way, or the target ran in between. */
function reportMapsAgainstSmaps({ collector, target: { maps, smaps } }: ComparisonContext): void {
  const [longer, other] = maps.length < smaps.length ? [smaps, maps] : [maps, smaps];
  const i = longer.findIndex((entry, index) => lineOf(entry) !== lineOf(other[index]));
  collector.agree("/proc/PID/maps", `/proc/PID/maps and smaps disagree about mapping ${i}`, {
    expected: lineOf(maps[i]),
    actual: lineOf(smaps[i]),
  });
}

function lineOf(entry: MapsEntry | undefined): string {
  if (!entry) return "nothing";
  const { start, end, perms, offset, device, inode } = entry;
  const range = `${start.toString(16)}-${end.toString(16)}`;
  return `${range} ${perms} ${offset.toString(16)} ${device} ${inode} ${shownByteText(nameOf(entry))}`;
}

/** vm_flags as smaps shows them. Its "??" can be but one bit of an area of user space, VM_LOCKONFAULT. */
function flagsOf(
  entry: SmapsEntry,
  areas: readonly PredictedArea[],
  { context, table }: { context: ComparisonContext; table: VmFlagTable },
): Pick<ExpectedVma, "flags" | "flagsBy"> {
  if (context.dialect === "v11") return postedFlags(entry, areas, context);
  const { bits: named, unnamed } = parseSmapsVmFlags(entry.vmFlags.join(" "), table);
  const bits = named | protectionKey(entry.sizes);
  return { flags: unnamed === 1 ? bits | (table.bits.LOCKONFAULT ?? 0n) : bits, flagsBy: "smaps" };
}

/** Pages that must be in swap, or be one frame, and are not: what the scenario is about did not come to be. */
function reportPageStates({ collector, target, prediction, self }: ComparisonContext): void {
  if (!prediction) return;
  const entries = new Map(target.pagemap.map((entry) => [entry.page, entry]));
  const report = (page: number, expected: string, entry: PagemapEntry | undefined): void => {
    const actual = !entry ? "absent" : entry.swapped ? "swapped out" : `in frame ${hex(entry.frame)}`;
    const message = "/proc/PID/pagemap shows the page in another state than the steps imply";
    collector.agree(`page ${shownAddress(page)}`, message, { expected, actual });
  };
  for (const [page, { swapped }] of prediction.pages) {
    const entry = entries.get(page);
    // A target is looked at after its own call, which has brought in what it saved.
    if (swapped && !self && !entry?.swapped) report(page, "swapped out", entry);
    if (swapped && self && !prediction.refusal && !entry?.present) {
      report(page, "brought in by the call", entry);
    }
  }
  for (const group of prediction.merged) {
    const frame = entries.get(group[0]!)?.frame;
    for (const page of group) {
      const entry = entries.get(page);
      const isMerged = entry?.present && entry.frame === frame;
      if (!isMerged) report(page, `merged with page ${shownAddress(group[0]!)}`, entry);
    }
  }
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
  if (modelled && (byModel !== undefined) !== byPagemap) reportPage(context, page, { byModel, byPagemap });
  if (modelled ? byModel === undefined : !byPagemap) return undefined;
  return { page, predicted: byModel };
}
