// SPDX-License-Identifier: MIT
import { VM } from "../../abi/vm_flags.ts";
import type { KernelSeries } from "../../abi/series.ts";
import type { FileKind } from "./file_model.ts";

/** mmap(2) protection bits (include/uapi/asm-generic/mman-common.h). */
export const PROT = { r: 1, w: 2, x: 4 } as const;

/** mmap(2) flag bits by the word that scenarios use (include/uapi/asm-generic/mman*.h). */
export const MAP_FLAGS = {
  shared: 0x01,
  private: 0x02,
  droppable: 0x08,
  growsdown: 0x100,
  locked: 0x2000,
  noreserve: 0x4000,
  populate: 0x8000,
  nonblock: 0x10000,
  stack: 0x20000,
  hugetlb: 0x40000,
} as const;

/** The flag of memory without a file. */
export const MAP_ANONYMOUS = 0x20;

/** The flag of a mapping at a certain place, where nothing is. */
export const MAP_FIXED_NOREPLACE = 0x100000;

/** mlockall(2) flag bits (include/uapi/asm-generic/mman.h). */
export const MCL = { current: 1, future: 2, onfault: 4 } as const;

/** A protection as scenarios say it. */
export const PROTECTIONS = ["none", "r", "w", "x", "rw", "rx", "wx", "rwx"] as const;

type Protection = (typeof PROTECTIONS)[number];

/** The bits of a protection. */
export function protBits(protection: Protection): number {
  const has = (letter: string): boolean => protection !== "none" && protection.includes(letter);
  return (has("r") ? PROT.r : 0) | (has("w") ? PROT.w : 0) | (has("x") ? PROT.x : 0);
}

/** The bits of a list of words in a table. */
export function flagBits<Word extends string>(
  words: readonly Word[],
  table: Readonly<Record<Word, number>>,
): number {
  return words.reduce((bits, word) => bits | table[word], 0);
}

/** Bits that Linux 2.6.28 had, where later kernels have others. */
const VM_RESERVED = 0x80000n;
const VM_CAN_NONLINEAR = 0x8000000n;

/** Where the protection key of an area lies in its flags (VM_PKEY_SHIFT). */
export const PROTECTION_KEY_SHIFT = 32n;
/** All bits of it. */
export const PROTECTION_KEYS = 15n << PROTECTION_KEY_SHIFT;

const RWX = VM.READ | VM.WRITE | VM.EXEC;
const MAY_RWX = VM.MAYREAD | VM.MAYWRITE | VM.MAYEXEC;

/** VM_READ, VM_WRITE and VM_EXEC of PROT_* bits: the numbers are the same. */
export function vmProt(prot: number): bigint {
  return BigInt(prot) & RWX;
}

/** What do_mmap (mm/mmap.c) makes of protection and mmap flags for a mapping that steps make. */
export function vmFlagsOfMmap(
  options: {
    prot: number;
    flags: readonly string[];
    readOnlyFile: boolean;
    /** What the file is. */
    file?: FileKind | undefined;
    series?: KernelSeries | undefined;
  },
): bigint {
  const isOld = options.series === "2.6.28";
  let flags = vmProt(options.prot) | MAY_RWX;
  if (options.flags.includes("shared")) {
    flags |= VM.SHARED | VM.MAYSHARE;
    // A shared mapping of a file opened for reading can never be written: VM_MAYSHARE alone stays.
    if (options.readOnlyFile) flags &= ~(VM.SHARED | VM.MAYWRITE);
  }
  // Pages that may go at any time are neither reserved, nor inherited, nor dumped (Linux 6.11).
  if (options.flags.includes("droppable")) flags |= VM.DROPPABLE | VM.NORESERVE | VM.WIPEONFORK | VM.DONTDUMP;
  if (options.flags.includes("growsdown")) flags |= VM.GROWSDOWN;
  if (options.flags.includes("locked")) flags |= VM.LOCKED;
  if (options.flags.includes("noreserve")) flags |= VM.NORESERVE;
  if (options.flags.includes("hugetlb")) flags |= VM.HUGETLB | VM.DONTEXPAND;
  // remap_pfn_range() (mm/memory.c), which mmap_mem() of /dev/mem calls.
  if (options.file === "mem") {
    flags |= VM.IO | VM.PFNMAP | (isOld ? VM_RESERVED : VM.DONTEXPAND | VM.DONTDUMP);
  }
  // sg_mmap() (drivers/scsi/sg.c) and tcp_mmap() (net/ipv4/tcp.c).
  if (options.file === "sg") flags |= VM.IO | VM.DONTEXPAND | VM.DONTDUMP;
  if (options.file === "tcp") flags = flags & ~(VM.MAYWRITE | VM.MAYEXEC) | VM.MIXEDMAP;
  // generic_file_mmap() (mm/filemap.c), until Linux 3.6.
  if ((options.file === "regular" || options.file === "memfd") && isOld) flags |= VM_CAN_NONLINEAR;
  // accountable_mapping(): private, writable, reserved memory counts against the commit limit.
  if ((flags & (VM.NORESERVE | VM.SHARED | VM.WRITE)) === VM.WRITE) flags |= VM.ACCOUNT;
  return flags;
}

/** Flags of private memory where nothing is promised that is not there: all that can be written counts. */
export function vmFlagsWithoutOvercommit(flags: bigint): bigint {
  if ((flags & VM.DROPPABLE) !== 0n) return flags;
  const reserved = flags & ~VM.NORESERVE;
  return (flags & VM.WRITE) === 0n ? reserved : reserved | VM.ACCOUNT;
}

/**
 * What mprotect_fixup (mm/mprotect.c) makes of an area's flags. VM_ACCOUNT, once set, stays, but in Linux 6.12
 * not on anonymous memory without a page that loses its write permission (`isUntouched`).
 */
export function vmFlagsAfterMprotect(
  flags: bigint,
  prot: number,
  { series, isUntouched }: { series?: KernelSeries | undefined; isUntouched: boolean },
): bigint {
  const changed = (flags & ~RWX) | vmProt(prot);
  const isReadOnly = changed !== flags && (changed & VM.WRITE) === 0n;
  if (series === "6.12" && isReadOnly && isUntouched) return changed & ~VM.ACCOUNT;
  const charged = VM.ACCOUNT | VM.WRITE | VM.HUGETLB | VM.SHARED | VM.NORESERVE;
  return (changed & VM.WRITE) !== 0n && (flags & charged) === 0n ? changed | VM.ACCOUNT : changed;
}
