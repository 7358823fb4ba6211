// SPDX-License-Identifier: MIT

/**
 * The kernels that can be built. PAE is a flavour of i386: same instruction set, 64-bit page table entries.
 */
export type KernelArch = "x86_64" | "i386" | "i386-pae";

/** All kernels that can be built, in the order of their usefulness. */
export const KERNEL_ARCHES: readonly KernelArch[] = ["x86_64", "i386", "i386-pae"];

/** The value of `ARCH=` for the kernel's make. */
export function makeArch(arch: KernelArch): "x86_64" | "i386" {
  return arch === "x86_64" ? "x86_64" : "i386";
}
