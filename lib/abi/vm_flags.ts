// SPDX-License-Identifier: MIT
import { hex } from "../bytes.ts";
import type { WordSize } from "./arch.ts";
import { KERNEL_SERIES, type KernelSeries, kernelSeries } from "./series.ts";

/** A vm_flags bit: number, name without `VM_`, code in the VmFlags line of smaps ("" where it has none). */
type FlagBit = readonly [bit: number, name: string, code: string];

// Bits that never moved. Codes: show_smap_vma_flags of fs/proc/task_mmu.c (there is none in 2.6.28).
const COMMON = [
  [0, "READ", "rd"],
  [1, "WRITE", "wr"],
  [2, "EXEC", "ex"],
  [3, "SHARED", "sh"],
  [4, "MAYREAD", "mr"],
  [5, "MAYWRITE", "mw"],
  [6, "MAYEXEC", "me"],
  [7, "MAYSHARE", "ms"],
  [8, "GROWSDOWN", "gd"],
  [10, "PFNMAP", "pf"],
  [13, "LOCKED", "lo"],
  [14, "IO", "io"],
  [15, "SEQ_READ", "sr"],
  [16, "RAND_READ", "rr"],
  [17, "DONTCOPY", "dc"],
  [18, "DONTEXPAND", "de"],
  [20, "ACCOUNT", "ac"],
  [21, "NORESERVE", "nr"],
  [22, "HUGETLB", "ht"],
  [28, "MIXEDMAP", "mm"],
] as const satisfies readonly FlagBit[];

const LINUX_2_6_28: readonly FlagBit[] = [
  [11, "DENYWRITE", ""],
  [12, "EXECUTABLE", ""],
  [19, "RESERVED", ""],
  [23, "NONLINEAR", ""],
  [25, "INSERTPAGE", ""],
  [26, "ALWAYSDUMP", ""],
  [27, "CAN_NONLINEAR", ""],
];

const SINCE_5_10 = [
  [9, "UFFD_MISSING", "um"],
  [12, "UFFD_WP", "uw"],
  [23, "SYNC", "sf"],
  [24, "PAT", "ar"],
  [25, "WIPEONFORK", "wf"],
  [26, "DONTDUMP", "dd"],
  [27, "SOFTDIRTY", "sd"],
  [29, "HUGEPAGE", "hg"],
  [30, "NOHUGEPAGE", "nh"],
  [31, "MERGEABLE", "mg"],
] as const satisfies readonly FlagBit[];

// smaps had no code for it and printed "??", until 6.9.
const LOCKONFAULT_UNNAMED: FlagBit = [19, "LOCKONFAULT", "??"];
const LOCKONFAULT = [19, "LOCKONFAULT", "lf"] as const satisfies FlagBit;

// Of Linux 6.12 alone, on x86-64.
const DROPPABLE = [40, "DROPPABLE", "dp"] as const satisfies FlagBit;
const SEALED = [63, "SEALED", "sl"] as const satisfies FlagBit;

// These come out in the ProtectionKey line of smaps instead.
const PROTECTION_KEY: readonly FlagBit[] = [
  [32, "PKEY_BIT0", ""],
  [33, "PKEY_BIT1", ""],
  [34, "PKEY_BIT2", ""],
  [35, "PKEY_BIT3", ""],
];

const LOW: Readonly<Record<KernelSeries, readonly FlagBit[]>> = {
  "2.6.28": [...COMMON, ...LINUX_2_6_28],
  "5.10": [...COMMON, ...SINCE_5_10, LOCKONFAULT_UNNAMED, [11, "DENYWRITE", "dw"]],
  "6.1": [...COMMON, ...SINCE_5_10, LOCKONFAULT_UNNAMED],
  "6.12": [...COMMON, ...SINCE_5_10, LOCKONFAULT],
};

const HIGH: Readonly<Record<KernelSeries, readonly FlagBit[]>> = {
  "2.6.28": [],
  "5.10": PROTECTION_KEY,
  "6.1": [...PROTECTION_KEY, [37, "UFFD_MINOR", "ui"]],
  "6.12": [
    ...PROTECTION_KEY,
    [37, "SHADOW_STACK", "ss"],
    [38, "UFFD_MINOR", "ui"],
    [39, "ALLOW_ANY_UNCACHED", "??"],
    DROPPABLE,
    SEALED,
  ],
};

const BITS = [...COMMON, ...SINCE_5_10, LOCKONFAULT, DROPPABLE, SEALED];

/** The bits by name that have the same numbers in all of Linux 5.10 to 6.12 that have them (include/linux/mm.h). */
export const VM = Object.fromEntries(BITS.map(([bit, name]) => [name, 1n << BigInt(bit)])) as Readonly<
  Record<(typeof BITS)[number][1], bigint>
>;

/** The vm_flags of one kernel, both directions, and the codes of smaps. */
export interface VmFlagTable {
  /** Kernel series that it is of. */
  readonly series: KernelSeries;
  /** Bit by name without `VM_`, lowest bit first: `bits.MAYREAD` is 0x10n. */
  readonly bits: Readonly<Record<string, bigint>>;
  /** All known bits. */
  readonly known: bigint;
  /** Bit by two-letter code of smaps' VmFlags line. */
  readonly codes: Readonly<Record<string, bigint>>;
}

function makeTable(series: KernelSeries, wordSize: WordSize): VmFlagTable {
  const all = [...LOW[series], ...(wordSize === 8 ? HIGH[series] : [])].sort((a, b) => a[0] - b[0]);
  const bits = Object.fromEntries(all.map(([number, name]) => [name, 1n << BigInt(number)]));
  const coded = all.filter(([, , code]) => code !== "" && code !== "??");
  const codes = Object.fromEntries(coded.map(([number, , code]) => [code, 1n << BigInt(number)]));
  return { series, bits, known: Object.values(bits).reduce((sum, bit) => sum | bit, 0n), codes };
}

const TABLES = Object.fromEntries(KERNEL_SERIES.map((series) => {
  return [series, { 4: makeTable(series, 4), 8: makeTable(series, 8) }];
})) as Record<KernelSeries, Record<WordSize, VmFlagTable>>;

/** The vm_flags table of a kernel series for a word size (bits from 32 up exist on x86-64 only). */
export function vmFlagTable(series: KernelSeries, wordSize: WordSize): VmFlagTable {
  return TABLES[series][wordSize];
}

/** The vm_flags table of the kernel that wrote an image's HEAD, or undefined when there is none. */
export function vmFlagTableOf(
  { major, minor, patch }: Readonly<Record<"major" | "minor" | "patch", number>>,
  wordSize: WordSize,
): VmFlagTable | undefined {
  const series = kernelSeries(major, minor, patch);
  return series && vmFlagTable(series, wordSize);
}

/** Names of the bits set in `flags`, lowest first, without `VM_`; unknown bits come last as one 0x number. */
export function vmFlagNames(flags: bigint, table: VmFlagTable): string[] {
  const names = Object.entries(table.bits).filter(([, bit]) => (flags & bit) !== 0n).map(([name]) => name);
  const unknown = flags & ~table.known;
  if (unknown !== 0n) names.push(hex(unknown));
  return names;
}

/**
 * The bits that a VmFlags line of /proc/PID/smaps names, e.g. `rd wr mr mw me ac`. Codes that stand for
 * no single bit (`??`) are counted, not resolved.
 *
 * @throws {RangeError} for a code that this kernel does not print.
 */
export function parseSmapsVmFlags(text: string, table: VmFlagTable): { bits: bigint; unnamed: number } {
  let bits = 0n;
  let unnamed = 0;
  for (const code of text.replace(/^VmFlags:/, "").trim().split(/\s+/)) {
    if (code === "") continue;
    const bit = table.codes[code];
    if (bit !== undefined) bits |= bit;
    else if (code === "??") unnamed++;
    else throw new RangeError(`smaps of Linux ${table.series} has no VmFlags code "${code}"`);
  }
  return { bits, unnamed };
}

/** The `rwxp` column of /proc/PID/maps for these flags (the same in all kernels here). */
export function permissionText(flags: bigint): string {
  const letter = (bit: bigint, text: string): string => (flags & bit) !== 0n ? text : "-";
  return letter(1n, "r") + letter(2n, "w") + letter(4n, "x") + ((flags & 0x80n) !== 0n ? "s" : "p");
}
