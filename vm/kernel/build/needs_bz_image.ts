// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import type { KernelArch } from "../../../lib/abi/arch.ts";
import type { KernelConfig } from "../config/kernel_config.ts";

/** Where the PVH entry lies in a kernel tree. */
const PVH_ENTRY = "arch/x86/platform/pvh/head.S";

interface BootedKernel {
  tree: string;
  arch: KernelArch;
  config: KernelConfig;
  /** True for a configuration of the user's, which need not have a PVH entry. */
  isWhole?: boolean;
}

/**
 * Whether a kernel must be entered by its own boot code, since its PVH entry does not work:
 * - where {@linkcode lacksPvhEntry} says so;
 * - without PAE on i386, where the entry sets CR4.PAE whatever the page tables are (5.10: triple fault as soon as
 *   paging is on). Later kernels, 6.1.y too, do that with CONFIG_X86_PAE alone.
 */
export async function needsBzImage({ tree, arch, config, isWhole = false }: BootedKernel): Promise<boolean> {
  if (lacksPvhEntry(config, isWhole)) return true;
  if (arch !== "i386") return false;
  const entry = await Deno.readTextFile(join(tree, PVH_ENTRY)).catch(() => "");
  return entry.includes("X86_CR4_PAE") && !entry.includes("CONFIG_X86_PAE");
}

/**
 * What a configuration alone tells of the PVH entry: a kernel with KASAN does not survive it (6.1: no output at all,
 * measured), and a configuration of the user's need not have it.
 */
export function lacksPvhEntry(config: KernelConfig, isWhole: boolean): boolean {
  return config.get("CONFIG_KASAN") === "y" || isWhole && config.get("CONFIG_PVH") !== "y";
}
