// SPDX-License-Identifier: MIT

import { isOlder } from "../../lib/abi/series.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { oldestRelease } from "../../lib/model/steps/steps.ts";
import { type KernelConfig, parseKernelConfig } from "../../vm/kernel/config/kernel_config.ts";
import { optionOf } from "../../vm/kernel/config/needed_options.ts";
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

interface NeedsContext {
  readonly platform: Platform;
  /** Undefined where nobody knows it. */
  readonly config: KernelConfig | undefined;
  /** `uname -r`; undefined before the kernel is known, which then lacks nothing. */
  readonly release: string | undefined;
}

/** Why a scenario cannot be run with this kernel and this kind of target; undefined when it can. */
export function unmetNeed(
  scenario: Scenario,
  { platform, config, release }: NeedsContext,
): string | undefined {
  const { kernel, target, series, config: options = [] } = scenario.needs ?? {};
  if (kernel && !kernel.includes(platform.kernel)) return `needs a kernel of ${kernel.join(" or ")}`;
  if (target && !target.includes(platform.target)) return `needs a target of ${target.join(" or ")}`;
  if (series && !series.includes(platform.series)) return `needs Linux ${series.join(" or ")}`;
  if (release === undefined) return undefined;
  const oldest = oldestRelease(scenario.steps ?? [], platform.target);
  if (oldest && isOlder(release, oldest.release)) return `needs Linux ${oldest.release}: ${oldest.what}`;
  for (const option of options) {
    const found = optionOf(option, { config, release });
    if (found === undefined) return `needs ${option}, and the kernel came without its .config`;
    if (found !== "y") return `needs ${option}, which this kernel has not`;
  }
  return undefined;
}
