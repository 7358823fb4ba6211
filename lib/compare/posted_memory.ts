// SPDX-License-Identifier: MIT
/**
 * Memory as Linux 2.6.28 and the code as posted have it. That kernel's interfaces tell less: smaps has no
 * VmFlags, and pagemap tells that a page is there, but not whether it is the file's own.
 */
import { hex } from "../bytes.ts";
import { PAGE_SIZE } from "../abi/arch.ts";
import { vmFlagTable } from "../abi/vm_flags.ts";
import type { PredictedArea } from "../model/predict_stop.ts";
import { ZERO_CONTENT } from "../model/state/page_content.ts";
import { pagesWithin } from "../model/state/page_set.ts";
import type { ComparisonContext } from "./comparison_context.ts";
import {
  type ExpectedPage,
  type ExpectedPages,
  type ExpectedVma,
  isModelled,
  reportPage,
} from "./expected_vma.ts";
import { type MapsEntry, nameOf, placeOf, type SmapsEntry } from "./proc_maps.ts";

const FLAGS = vmFlagTable("2.6.28", 4).bits as Readonly<Record<string, bigint>>;
const MAY = FLAGS.MAYREAD! | FLAGS.MAYWRITE! | FLAGS.MAYEXEC!;
const RWX = FLAGS.READ! | FLAGS.WRITE! | FLAGS.EXEC!;

/** vm_flags: of an area that steps made the model's, of the program's own memory what exec gives it. */
export function postedFlags(
  entry: SmapsEntry,
  areas: readonly PredictedArea[],
  { target, prediction }: ComparisonContext,
): Pick<ExpectedVma, "flags" | "flagsBy"> {
  const [start, end] = [Number(entry.start) / PAGE_SIZE, Number(entry.end) / PAGE_SIZE];
  if (areas[0] && isModelled({ start, end, areas })) return { flags: areas[0].flags, flagsBy: "steps" };
  const own = flagsAtExec(entry, placeOf("text", target.smaps));
  // mlock_fixup (mm/mlock.c) makes the pages of such areas present, but locks none.
  const locks = (own & FLAGS.DONTEXPAND!) === 0n && prediction?.locksOwnMemory;
  return { flags: locks ? own | FLAGS.LOCKED! : own, flagsBy: "rules" };
}

/** What execve(2) gives the mappings that it makes (fs/binfmt_elf.c, fs/exec.c, arch/x86/vdso). */
function flagsAtExec(entry: MapsEntry, text: bigint | undefined): bigint {
  const name = nameOf(entry);
  const flags = permissionBits(entry.perms) | MAY;
  if (name === "[vdso]") return flags | FLAGS.ALWAYSDUMP! | FLAGS.DONTEXPAND!;
  const account = (flags & FLAGS.WRITE!) === 0n ? 0n : FLAGS.ACCOUNT!;
  if (entry.inode !== 0n) {
    const isProgram = entry.start === text ? FLAGS.DENYWRITE! | FLAGS.EXECUTABLE! : 0n;
    return flags | FLAGS.CAN_NONLINEAR! | isProgram | account;
  }
  return flags | FLAGS.ACCOUNT! | (name === "[stack]" ? FLAGS.GROWSDOWN! : 0n);
}

function permissionBits(permissions: string): bigint {
  const bit = (index: number, bits: bigint): bigint => permissions[index] === "-" ? 0n : bits;
  const shared = permissions[3] === "s" ? FLAGS.MAYSHARE! : 0n;
  return bit(0, FLAGS.READ!) | bit(1, FLAGS.WRITE!) | bit(2, FLAGS.EXEC!) | shared;
}

/** Whether maps shows what may be done with a VMA as its flags have it. */
export function agreesWithPermissions(flags: bigint, { perms }: MapsEntry): boolean {
  return (flags & RWX) === (permissionBits(perms) & RWX);
}

const READ_PAGE = {
  id: "N_READ_PAGE",
  message: "a page that was only read is saved: 2.6.28 gives it memory of its own",
};

/**
 * Gives the pages of VMAs. Of anonymous memory every page that is there is saved, those only read included,
 * and so it is with /dev/zero, whose pages have no mapping. Of another file those are saved that were copied:
 * pagemap does not tell them apart, smaps tells their number.
 */
export function expectedPostedPages(
  context: ComparisonContext,
): (vma: Omit<ExpectedVma, keyof ExpectedPages>) => ExpectedPages {
  const there = new Set(context.target.pagemap.map(({ page }) => page));
  const listed = [...there].sort((a, b) => a - b);
  const modelled = [...context.prediction?.pages.keys() ?? []].sort((a, b) => a - b);
  return (vma) => {
    const present = pagesWithin(listed, vma);
    const wanted = pagesWithin(modelled, vma);
    const path = `/proc/PID/smaps ${hex(vma.entry.start)}`;
    context.collector.agree(path, "smaps and pagemap disagree about how many pages are there", {
      expected: sizeOf(vma.entry, "Rss", "Swap"),
      actual: present.length,
    });
    const isFile = vma.entry.inode !== 0n && nameOf(vma.entry) !== "/dev/zero";
    if (isFile) return copiedPages(context, vma, { present, wanted });
    for (const page of wanted) {
      const byModel = context.prediction?.pages.get(page);
      if (!there.has(page)) reportPage(context, page, { byModel, byPagemap: false });
    }
    return { pages: present.map((page) => anonymousPage(page, vma, context)), optional: 0 };
  };
}

function sizeOf(entry: SmapsEntry, ...names: string[]): number {
  return names.reduce((sum, name) => sum + (entry.sizes.get(name) ?? 0), 0) * 1024 / PAGE_SIZE;
}

function anonymousPage(
  page: number,
  { areas }: { areas: readonly PredictedArea[] },
  { prediction }: ComparisonContext,
): ExpectedPage {
  const byModel = prediction?.pages.get(page);
  if (byModel || !areas.some(({ start, end }) => start <= page && page < end)) {
    return { page, predicted: byModel };
  }
  const why = "no step wrote it, so that it holds zeros";
  return { page, predicted: { content: ZERO_CONTENT, why }, knownError: READ_PAGE };
}

/** Copied pages of a file's private mapping: the model's, as many as smaps shows changed. */
function copiedPages(
  context: ComparisonContext,
  vma: Pick<ExpectedVma, "start" | "end" | "entry" | "areas">,
  { present, wanted }: { present: readonly number[]; wanted: readonly number[] },
): ExpectedPages {
  const { collector, prediction } = context;
  const counted = sizeOf(vma.entry, "Shared_Dirty", "Private_Dirty");
  // Shared memory is refused.
  if (vma.entry.perms[3] === "s") return { pages: [], optional: 0 };
  if (vma.areas.length === 0 && wanted.length === 0) {
    if (counted === 0) return { pages: [], optional: 0 };
    return {
      pages: present.map((page) => ({ page, predicted: undefined, isOptional: true })),
      optional: counted,
    };
  }
  const pages = wanted.map((page): ExpectedPage => ({ page, predicted: prediction?.pages.get(page) }));
  const lost = wanted.length - counted;
  if (lost > 0 && prediction?.hasSwap) {
    const message = "written pages of a file's mapping are lost while they are in the swap cache: as posted";
    collector.note("N_SWAP_CACHE_LOST", message, lost);
    return {
      pages: counted === 0 ? [] : pages.map((page) => ({ ...page, isOptional: true })),
      optional: counted,
    };
  }
  const path = `/proc/PID/smaps ${hex(vma.entry.start)}`;
  collector.agree(path, "smaps shows another number of copied pages than the steps imply", {
    expected: wanted.length,
    actual: counted,
  });
  return { pages, optional: 0 };
}
