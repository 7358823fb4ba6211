// SPDX-License-Identifier: MIT

/** The kernels that this project knows. PAE is a flavour of i386 whose page table entries have 64 bits. */
export const KERNEL_ARCHES = ["x86_64", "i386", "i386-pae"] as const;

/** One of {@linkcode KERNEL_ARCHES}. */
export type KernelArch = (typeof KERNEL_ARCHES)[number];

/** What a checkpointed program is built for: an i386 one may run on an x86-64 kernel (compat). */
export const TARGET_ARCHES = ["x86_64", "i386"] as const;

/** One of {@linkcode TARGET_ARCHES}. */
export type TargetArch = (typeof TARGET_ARCHES)[number];

/** A kernel, the kind of its programs, and what QEMU's processor is without, if anything. */
interface PlatformArch {
  readonly kernel: KernelArch;
  readonly target: TargetArch;
  /** What is added to QEMU's CPU model. */
  readonly cpu?: string;
}

/**
 * What runs what: kernel and program of each platform. `compat` is a 32-bit program on the x86-64 kernel. Behind a
 * hyphen stands what the processor has not, or what the kernel does for its sake; docs/nightly.md tells what for.
 */
export const PLATFORM_ARCHES = {
  "x86_64": { kernel: "x86_64", target: "x86_64" },
  "i386": { kernel: "i386", target: "i386" },
  "i386-pae": { kernel: "i386-pae", target: "i386" },
  "compat": { kernel: "x86_64", target: "i386" },
  "x86_64-nofsgsbase": { kernel: "x86_64", target: "x86_64", cpu: "-fsgsbase" },
  "compat-nofsgsbase": { kernel: "x86_64", target: "i386", cpu: "-fsgsbase" },
  "x86_64-noxsave": { kernel: "x86_64", target: "x86_64", cpu: "-xsave,-avx,-avx2,-fma,-f16c" },
  "compat-noxsave": { kernel: "x86_64", target: "i386", cpu: "-xsave,-avx,-avx2,-fma,-f16c" },
  "i386-nofxsr": {
    ...{ kernel: "i386", target: "i386" },
    cpu: "-fxsr,-xsave,-sse,-sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-sse4a",
  },
  "x86_64-nonx": { kernel: "x86_64", target: "x86_64", cpu: "-nx" },
  // Of this vendor the kernel expects Meltdown, and isolates page tables.
  "x86_64-pti": { kernel: "x86_64", target: "x86_64", cpu: "vendor=GenuineIntel" },
} as const satisfies Readonly<Record<string, PlatformArch>>;

/** Name of a platform. */
export type PlatformName = keyof typeof PLATFORM_ARCHES;

/** The names of all platforms. */
export const PLATFORM_NAMES = Object.keys(PLATFORM_ARCHES) as readonly PlatformName[];

/** Bytes of an `unsigned long` of the kernel, hence of a page address in an image. */
export type WordSize = 4 | 8;

/** Bytes of one page, on every architecture here. */
export const PAGE_SIZE = 4096;

/** {@linkcode PAGE_SIZE} for addresses, which are bigints. */
export const PAGE_SIZE_BIG: bigint = BigInt(PAGE_SIZE);

/** Bytes of the guest's /dev/ram0: `CONFIG_BLK_DEV_RAM_SIZE` of vm/kernel/config/base.config, which is in KiB. */
export const RAM_DISK_SIZE = 64 * 1024 * 1024;

/** `TASK_COMM_LEN` (include/linux/sched.h): bytes of a task's name in an image. */
export const TASK_COMM_LENGTH = 16;

/** `GDT_ENTRY_TLS_ENTRIES` (arch/x86/include/asm/segment.h). */
export const TLS_ENTRIES = 3;

/** `LDT_ENTRIES` (arch/x86/include/uapi/asm/ldt.h): the most entries that a task's LDT can have. */
export const LDT_ENTRIES = 8192;

/** `LDT_ENTRY_SIZE`: bytes of one segment descriptor. */
export const LDT_ENTRY_SIZE = 8;

/** The constants of one kernel architecture that an image depends on. */
export interface KernelAbi {
  /** Bytes of a page address in the image: the kernel's word, whatever the target is. */
  readonly wordSize: WordSize;
  /** First of the TLS slots in the GDT: `GDT_ENTRY_TLS_MIN`. */
  readonly firstTlsSlot: 6 | 12;
  /** First address above a user's address space: `TASK_SIZE_MAX`, four-level page tables, 3G/1G split. */
  readonly userLimit: bigint;
  /**
   * `STACK_TOP_MAX >> PAGE_SHIFT`: vm_pgoff plus page count of a stack that no mprotect split. exec places the stack
   * there and later moves it down for compat programs, and vm_pgoff stays (fs/exec.c, shift_arg_pages).
   */
  readonly stackTopPages: bigint;
}

const X86_64: KernelAbi = {
  wordSize: 8,
  firstTlsSlot: 12,
  userLimit: 0x7fff_ffff_f000n,
  stackTopPages: 0x7_ffff_ffffn,
};
const I386: KernelAbi = { wordSize: 4, firstTlsSlot: 6, userLimit: 0xc000_0000n, stackTopPages: 0xc_0000n };

/** The constants of a kernel architecture. */
export function abiOf(arch: KernelArch): KernelAbi {
  return arch === "x86_64" ? X86_64 : I386;
}

/**
 * The first address above the stack of a program when addresses are not randomised: `STACK_TOP`
 * (arch/x86/include/asm/processor.h). A 32-bit program on an x86-64 kernel has nearly all of 4 GiB.
 */
export function stackTop(kernel: KernelArch, target: TargetArch): bigint {
  return kernel === "x86_64" && target === "i386" ? 0xffff_e000n : abiOf(kernel).userLimit;
}

/** `CR_PGARR_CHUNK`: 4 * PAGE_SIZE / word size, the pages of every page-array chunk of a VMA but its last. */
export function pagesPerChunk(wordSize: WordSize): number {
  return 4 * PAGE_SIZE / wordSize;
}
