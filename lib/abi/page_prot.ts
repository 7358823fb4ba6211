// SPDX-License-Identifier: MIT
import { hex } from "../bytes.ts";
import type { KernelArch } from "./arch.ts";
import type { KernelSeries } from "./series.ts";
import { VM } from "./vm_flags.ts";

const PRESENT = 1n << 0n;
const RW = 1n << 1n;
const USER = 1n << 2n;
const ACCESSED = 1n << 5n;
/** `_PAGE_PROTNONE` was the bit of PSE in 2.6.28 and is the bit of GLOBAL in later kernels. */
const PROTNONE_2_6_28 = 1n << 7n;
const PROTNONE = 1n << 8n;
const NX = 1n << 63n;
const PKEY_SHIFT_IN_FLAGS = 32n;
const PKEY_SHIFT_IN_PTE = 59n;

/** What vm_page_prot depends on beside vm_flags. */
export interface PageProtOptions {
  /** Kernel series. */
  readonly series: KernelSeries;
  /** Kernel architecture. */
  readonly arch: KernelArch;
  /** The CPU has NX and the kernel uses it (`__supported_pte_mask`); true when left out. */
  readonly nx?: boolean;
}

/**
 * Whether bit 63 can stand in vm_page_prot. i386 without PAE has no such bit. On i386 with PAE, Linux 5.18
 * and later lose it: vm_get_page_prot (arch/x86/mm/pgprot.c) keeps the value in an `unsigned long`, 32 bits
 * there. (5.10 and 2.6.28 keep it in a pgprot_t.)
 */
function keepsNx(options: PageProtOptions): boolean {
  if (options.nx === false || options.arch === "i386") return false;
  return options.arch === "x86_64" || options.series === "2.6.28" || options.series === "5.10";
}

/**
 * vm_page_prot that the kernel gives a VMA with these vm_flags: vm_get_page_prot, i.e. protection_map[]
 * indexed by the read, write, exec and shared bits (include/asm/pgtable_types.h), plus the protection key.
 * A private mapping never has the write bit: its pages are made writable by copying.
 *
 * Without memory encryption; a shared mapping that tracks writes loses RW again, which is not modelled.
 */
export function pageProt(vmFlags: bigint, options: PageProtOptions): bigint {
  let prot: bigint;
  if ((vmFlags & (VM.READ | VM.WRITE | VM.EXEC)) === 0n) {
    prot = ACCESSED | (options.series === "2.6.28" ? PROTNONE_2_6_28 : PROTNONE);
  } else {
    prot = PRESENT | USER | ACCESSED;
    if ((vmFlags & (VM.WRITE | VM.SHARED)) === (VM.WRITE | VM.SHARED)) prot |= RW;
    if ((vmFlags & VM.EXEC) === 0n && keepsNx(options)) prot |= NX;
  }
  if (options.arch === "x86_64") prot |= ((vmFlags >> PKEY_SHIFT_IN_FLAGS) & 0xfn) << PKEY_SHIFT_IN_PTE;
  return prot;
}

/** A person's words for a vm_page_prot value, e.g. `present user accessed nx`. */
export function describePageProt(prot: bigint, series: KernelSeries): string {
  const names: [bigint, string][] = [
    [PRESENT, "present"],
    [RW, "rw"],
    [USER, "user"],
    [ACCESSED, "accessed"],
    [series === "2.6.28" ? PROTNONE_2_6_28 : PROTNONE, (prot & PRESENT) === 0n ? "protnone" : "global"],
    [NX, "nx"],
  ];
  const words = names.flatMap(([bit, name]) => (prot & bit) === 0n ? [] : [name]);
  const key = (prot >> PKEY_SHIFT_IN_PTE) & 0xfn;
  if (key !== 0n) words.push(`pkey=${key}`);
  const known = names.reduce((sum, [bit]) => sum | bit, 0xfn << PKEY_SHIFT_IN_PTE);
  const rest = prot & ~known;
  if (rest !== 0n) words.push(hex(rest));
  return words.join(" ");
}
