// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../abi/arch.ts";
import { pageProt } from "../../abi/page_prot.ts";
import { vmFlagTable } from "../../abi/vm_flags.ts";
import { rawText } from "../../image/struct_codec.ts";
import type { MapsEntry } from "../proc_maps.ts";
import { cpuFeaturesOf } from "./cpu_features.ts";
import type { V11Manifest } from "./manifest.ts";
import type { PageContent } from "./page_content.ts";
import type { StepArea, StepMemory } from "./step_memory.ts";

const FLAGS = vmFlagTable("2.6.28", 4).bits as Readonly<Record<string, bigint>>;
const MAY = FLAGS.MAYREAD! | FLAGS.MAYWRITE! | FLAGS.MAYEXEC!;
/** What steps that the model does not know may have changed. */
const UNCERTAIN = FLAGS.ACCOUNT! | FLAGS.NORESERVE! | FLAGS.LOCKED! | FLAGS.SEQ_READ! | FLAGS.RAND_READ! |
  FLAGS.DONTCOPY! | FLAGS.GROWSDOWN!;
/** First address that is not the program's. */
const KERNEL = 0xc000_0000n;

/** Whose memory it is. */
export type Owner = "steps" | "program" | "stack" | "vdso";

/** A page that an image must hold. */
export interface ExpectedV11Page {
  readonly page: number;
  /** What it holds; undefined where the manifest does not tell. */
  readonly content: PageContent | undefined;
  /** It may as well be missing: the manifest does not tell whether the program's file page was copied. */
  readonly isOptional: boolean;
}

/** A VMA record as it must be. */
export interface ExpectedV11Vma {
  readonly entry: MapsEntry;
  readonly owner: Owner;
  readonly isFile: boolean;
  readonly flags: bigint;
  /** Bits of the flags that nothing tells. */
  readonly uncertainFlags: bigint;
  /** Undefined where the processor is not known: NX is uncertain then. */
  readonly pageProt: bigint | undefined;
  /** Ascending. */
  readonly pages: readonly ExpectedV11Page[];
  /**
   * Written pages that may be in swap: as posted those of files are lost while they are in the swap cache.
   */
  readonly swapped: ReadonlySet<number>;
  /** The areas that the steps made there. */
  readonly areas: readonly StepArea[];
}

/** The VMAs in the order of the image, whether or not the call came to them. */
export function expectedVmas(manifest: V11Manifest, memory: StepMemory): ExpectedV11Vma[] {
  const own = manifest.maps.filter(({ start }) => start < KERNEL);
  const sources = { manifest, memory, executable: executableOf(own, manifest), stack: stackStarts(own) };
  return own.map((entry) => expectedVma(entry, sources));
}

/** The file that the program was started from: that in which it makes the call. */
export function executableOf(maps: readonly MapsEntry[], manifest: V11Manifest): string {
  const ip = manifest.calls[0]?.registers.get("eip");
  const text = maps.find(({ start, end }) => ip !== undefined && start <= ip && ip < end);
  return rawText((text ?? maps[0])?.name ?? new Uint8Array(0));
}

/** Where the stack's VMAs start: mprotect may have split it, and maps names but one of them. */
function stackStarts(maps: readonly MapsEntry[]): Set<bigint> {
  const named = maps.findIndex(({ name }) => rawText(name) === "[stack]");
  const starts = new Set<bigint>();
  if (named < 0) return starts;
  const isPart = (index: number): boolean => maps[index]?.inode === 0n && maps[index].name.length === 0;
  let first = named;
  while (isPart(first - 1) && maps[first - 1]!.end === maps[first]!.start) first--;
  let last = named;
  while (isPart(last + 1) && maps[last + 1]!.start === maps[last]!.end) last++;
  for (const { start } of maps.slice(first, last + 1)) starts.add(start);
  return starts;
}

interface Sources {
  readonly manifest: V11Manifest;
  readonly memory: StepMemory;
  readonly executable: string;
  /** Starts of the VMAs of the stack. */
  readonly stack: ReadonlySet<bigint>;
}

function expectedVma(entry: MapsEntry, sources: Sources): ExpectedV11Vma {
  const { memory, manifest } = sources;
  const start = Number(entry.start);
  const end = Number(entry.end);
  const name = rawText(entry.name);
  const areas = memory.areas.filter((area) => area.start < end && area.end > start);
  const owner: Owner = name === "[vdso]"
    ? "vdso"
    : areas.length > 0
    ? "steps"
    : sources.stack.has(entry.start)
    ? "stack"
    : "program";
  const isFile = entry.inode !== 0n || name.startsWith("/");
  const partial = { entry, owner, isFile, areas };
  const flags = expectedFlags(partial, sources);
  const isUncertain = areas.some((area) => area.isUncertain);
  return {
    ...partial,
    flags,
    uncertainFlags: isUncertain ? UNCERTAIN : 0n,
    pageProt: expectedPageProt(flags, manifest),
    ...expectedPages(partial, sources),
  };
}

type Partial = Pick<ExpectedV11Vma, "entry" | "owner" | "isFile" | "areas">;

function expectedFlags(vma: Partial, { executable, memory }: Sources): bigint {
  const permissions = permissionBits(vma.entry.perms);
  const start = Number(vma.entry.start);
  const area = vma.areas.find((each) => each.start <= start && start < each.end) ?? vma.areas[0];
  if (vma.owner === "steps" && area) return area.flags & ~7n | permissions;
  const flags = flagsAtExec(vma, permissions, executable);
  if (vma.owner === "vdso") return flags;
  const changed = memory.changes.filter((each) => each.start <= start && start < each.end)
    .reduce((sum, { change }) => change(sum), flags);
  return changed & ~7n | permissions;
}

/** The flags of the program's own memory before any step changed them. */
function flagsAtExec({ entry, owner, isFile }: Partial, permissions: bigint, executable: string): bigint {
  let flags = permissions | MAY;
  if (owner === "vdso") return flags | FLAGS.ALWAYSDUMP! | FLAGS.DONTEXPAND!;
  if (owner === "stack") return flags | FLAGS.GROWSDOWN! | FLAGS.ACCOUNT!;
  // brk and the memory after the program's data are anonymous and always accounted.
  if (!isFile) return flags | FLAGS.ACCOUNT!;
  flags |= FLAGS.CAN_NONLINEAR!;
  if (rawText(entry.name) === executable) flags |= FLAGS.DENYWRITE! | FLAGS.EXECUTABLE!;
  return (permissions & FLAGS.WRITE!) === 0n ? flags : flags | FLAGS.ACCOUNT!;
}

/** The bits of the `rwxp` column. */
export function permissionBits(permissions: string): bigint {
  const bit = (index: number, bits: bigint): bigint => permissions[index] === "-" ? 0n : bits;
  const shared = permissions[3] === "s" ? FLAGS.MAYSHARE! : 0n;
  return bit(0, FLAGS.READ!) | bit(1, FLAGS.WRITE!) | bit(2, FLAGS.EXEC!) | shared;
}

/** vm_page_prot, or undefined where it depends on a processor that is not known. */
function expectedPageProt(flags: bigint, { cpuModel, commandLine, kernel }: V11Manifest): bigint | undefined {
  const series = "2.6.28";
  if (!isPae(kernel)) return pageProt(flags, { series, arch: "i386" });
  const arch = "i386-pae";
  const nx = cpuFeaturesOf(cpuModel, commandLine)?.nx;
  if (nx !== undefined) return pageProt(flags, { series, arch, nx });
  const both = [true, false].map((each) => pageProt(flags, { series, arch, nx: each }));
  return both[0] === both[1] ? both[0] : undefined;
}

function isPae(kernel: string): boolean {
  return /\bPAE\b|HIGHMEM64G/i.test(kernel) && !/\b(no|non|not|without)[ -]PAE\b/i.test(kernel);
}

/**
 * The rule of the code as posted: every present page of anonymous memory, those only read included (2.6.28
 * gives them a page of their own); of a file those that were copied; of /dev/zero every present page, for
 * they have no mapping.
 */
function expectedPages(
  vma: Partial,
  { manifest, memory, executable }: Sources,
): Pick<ExpectedV11Vma, "pages" | "swapped"> {
  const pages: ExpectedV11Page[] = [];
  const swapped = new Set<number>();
  const { entry, areas } = vma;
  const isUncertain = areas.some((area) => area.isUncertain);
  // Pages in swap are not listed as present, and those that came back may still be in the swap cache.
  const words = manifest.steps.map(({ op, text }) => `${op} ${text}`);
  const hasSwap = [manifest.name, ...words].some((each) => /swap/i.test(each));
  const all = !vma.isFile || rawText(entry.name) === "/dev/zero";
  const isData = rawText(entry.name) === executable && entry.perms[1] === "w";
  for (let page = Number(entry.start) / PAGE_SIZE; page < Number(entry.end) / PAGE_SIZE; page++) {
    const step = memory.pages.get(page);
    const isPresent = manifest.presentPages.has(page);
    const content = isUncertain ? undefined : step?.content;
    if (step?.isWritten && hasSwap) swapped.add(page);
    if (!isPresent && step && hasSwap && (all || step.isWritten)) {
      pages.push({ page, content, isOptional: isUncertain || !all });
    } else if (isPresent && (all || step?.isWritten)) {
      pages.push({ page, content, isOptional: hasSwap && !all });
    } else if (isPresent ? isUncertain || isData : hasSwap && all && vma.owner !== "steps") {
      pages.push({ page, content, isOptional: true });
    }
  }
  return { pages, swapped };
}
