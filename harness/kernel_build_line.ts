// SPDX-License-Identifier: MIT

import type { KernelBuild } from "../vm/kernel/build_kernel.ts";

/** The line that tells of a kernel that is ready, and whether it was built for that. */
export function kernelBuildLine(
  platform: string,
  { cached, seconds, info, vmlinux }: Pick<KernelBuild, "cached" | "seconds" | "info" | "vmlinux">,
): string {
  const how = cached ? "from the cache" : `built in ${seconds.toFixed(0)} s`;
  return `${platform}: Linux ${info.release}, ${how}: ${vmlinux}`;
}

/** Whether a line of {@linkcode kernelBuildLine} tells of a kernel that was in the cache. */
export function isCachedKernelLine(line: string): boolean {
  return /^\S+: Linux \S+, from the cache: /.test(line);
}
