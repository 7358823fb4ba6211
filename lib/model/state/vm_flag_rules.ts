// SPDX-License-Identifier: MIT
import type { KernelSeries } from "../../abi/series.ts";

/** vm_flags bits that steps touch, as Linux 5.10 to 6.12 number them (include/linux/mm.h). */
export const VM = {
  READ: 0x1n,
  WRITE: 0x2n,
  EXEC: 0x4n,
  SHARED: 0x8n,
  MAYREAD: 0x10n,
  MAYWRITE: 0x20n,
  MAYEXEC: 0x40n,
  MAYSHARE: 0x80n,
  GROWSDOWN: 0x100n,
  UFFD_MISSING: 0x200n,
  PFNMAP: 0x400n,
  UFFD_WP: 0x1000n,
  LOCKED: 0x2000n,
  IO: 0x4000n,
  SEQ_READ: 0x8000n,
  RAND_READ: 0x10000n,
  DONTCOPY: 0x20000n,
  DONTEXPAND: 0x40000n,
  LOCKONFAULT: 0x80000n,
  ACCOUNT: 0x100000n,
  NORESERVE: 0x200000n,
  HUGETLB: 0x400000n,
  WIPEONFORK: 0x2000000n,
  DONTDUMP: 0x4000000n,
  HUGEPAGE: 0x20000000n,
  NOHUGEPAGE: 0x40000000n,
  MERGEABLE: 0x80000000n,
} as const;

/** Bits that Linux 2.6.28 had, where later kernels have others. */
const VM_RESERVED = 0x80000n;
const VM_CAN_NONLINEAR = 0x8000000n;

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
    /** The file is /dev/mem, or one with pages of its own. */
    file?: "memory" | "regular" | undefined;
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
  if (options.flags.includes("growsdown")) flags |= VM.GROWSDOWN;
  if (options.flags.includes("locked")) flags |= VM.LOCKED;
  if (options.flags.includes("noreserve")) flags |= VM.NORESERVE;
  if (options.flags.includes("hugetlb")) flags |= VM.HUGETLB | VM.DONTEXPAND;
  // remap_pfn_range() (mm/memory.c), which mmap_mem() of /dev/mem calls.
  if (options.file === "memory") {
    flags |= VM.IO | VM.PFNMAP | (isOld ? VM_RESERVED : VM.DONTEXPAND | VM.DONTDUMP);
  }
  // generic_file_mmap() (mm/filemap.c), until Linux 3.6.
  if (options.file === "regular" && isOld) flags |= VM_CAN_NONLINEAR;
  // accountable_mapping(): private, writable, reserved memory counts against the commit limit.
  if ((flags & (VM.NORESERVE | VM.SHARED | VM.WRITE)) === VM.WRITE) flags |= VM.ACCOUNT;
  return flags;
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

/** What madvise_behavior (mm/madvise.c) makes of an area's flags. */
export function vmFlagsAfterMadvise(flags: bigint, advice: string): bigint {
  switch (advice) {
    case "normal":
      return flags & ~(VM.RAND_READ | VM.SEQ_READ);
    case "sequential":
      return (flags & ~VM.RAND_READ) | VM.SEQ_READ;
    case "random":
      return (flags & ~VM.SEQ_READ) | VM.RAND_READ;
    case "dontfork":
      return flags | VM.DONTCOPY;
    case "dofork":
      return flags & ~VM.DONTCOPY;
    case "wipeonfork":
      return flags | VM.WIPEONFORK;
    case "keeponfork":
      return flags & ~VM.WIPEONFORK;
    case "dontdump":
      return flags | VM.DONTDUMP;
    case "dodump":
      return flags & ~VM.DONTDUMP;
    case "mergeable":
      return flags | VM.MERGEABLE;
    case "unmergeable":
      return flags & ~VM.MERGEABLE;
    case "hugepage":
      return (flags & ~VM.NOHUGEPAGE) | VM.HUGEPAGE;
    case "nohugepage":
      return (flags & ~VM.HUGEPAGE) | VM.NOHUGEPAGE;
    default:
      return flags;
  }
}

/**
 * Whether populating (MAP_LOCKED, MAP_POPULATE, mlock) writes to the pages: populate_vma_page_range in
 * mm/gup.c.
 */
export function populateWrites(flags: bigint): boolean {
  return (flags & (VM.WRITE | VM.SHARED)) === VM.WRITE;
}

/** The area's flags in a forked child: dup_mmap (kernel/fork.c). */
export function vmFlagsAfterFork(flags: bigint): bigint {
  return flags & ~(VM.LOCKED | VM.LOCKONFAULT | VM.UFFD_MISSING | VM.UFFD_WP);
}
