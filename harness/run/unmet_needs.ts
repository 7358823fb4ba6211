// SPDX-License-Identifier: MIT

import type { Scenario } from "../../lib/model/scenario.ts";
import { type KernelConfig, parseKernelConfig } from "../../vm/kernel/config/kernel_config.ts";
import type { Platform } from "./platform.ts";

/** The configuration in a file; undefined where there is none. */
export async function configAt(path: string): Promise<KernelConfig | undefined> {
  try {
    return parseKernelConfig(await Deno.readTextFile(path), path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory) return undefined;
    throw error;
  }
}

/** Why a scenario cannot be run with this kernel and this kind of target; undefined when it can. */
export function unmetNeed(
  { needs = {} }: Pick<Scenario, "needs">,
  { platform, config }: { platform: Platform; config: KernelConfig | undefined },
): string | undefined {
  const { kernel, target, series } = needs;
  if (kernel && !kernel.includes(platform.kernel)) return `needs a kernel of ${kernel.join(" or ")}`;
  if (target && !target.includes(platform.target)) return `needs a target of ${target.join(" or ")}`;
  if (series && !series.includes(platform.series)) return `needs Linux ${series.join(" or ")}`;
  for (const option of needs.config ?? []) {
    if (!config) return `needs ${option}, and the kernel came without its .config`;
    if (config.get(option) !== "y") return `needs ${option}, which this kernel has not`;
  }
  return undefined;
}
