// SPDX-License-Identifier: MIT

import type { KernelBuild } from "../../../vm/kernel/build/build_kernel.ts";
import type { KernelSource } from "../../../vm/kernel/source/kernel_source.ts";
import { kernelText } from "../../cli/kernel_source_option.ts";

/** The line that tells of a kernel that is ready, and whether it was built for that. */
export function kernelBuildLine(
  platform: string,
  build: Pick<KernelBuild, "cached" | "seconds" | "info" | "vmlinux" | "patch">,
  source?: KernelSource,
): string {
  const how = build.cached ? "from the cache" : `built in ${build.seconds.toFixed(0)} s`;
  return `${platform}: ${kernelText(build, source)}, ${how}: ${build.vmlinux}`;
}

/** Whether a line of {@linkcode kernelBuildLine} tells of a kernel that was in the cache. */
export function isCachedKernelLine(line: string): boolean {
  return /^\S+: Linux \S+( \(.*\))?, from the cache: /.test(line);
}
