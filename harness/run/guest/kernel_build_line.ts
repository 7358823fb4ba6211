// SPDX-License-Identifier: MIT

import type { KernelBuild } from "../../../vm/kernel/build/build_kernel.ts";
import type { KernelSource } from "../../../vm/kernel/source/kernel_source.ts";

/** The line that tells of a kernel that is ready, and whether it was built for that. */
export function kernelBuildLine(
  platform: string,
  build: Pick<KernelBuild, "cached" | "seconds" | "info" | "vmlinux" | "patch">,
  source?: KernelSource,
): string {
  const how = build.cached ? "from the cache" : `built in ${build.seconds.toFixed(0)} s`;
  return `${platform}: ${kernelText(build, source)}, ${how}: ${build.vmlinux}`;
}

/** Which kernel was built, for people: its release, and of a user's tree where its checkpoint code comes from. */
export function kernelText(
  { info, patch }: Pick<KernelBuild, "info" | "patch">,
  source?: KernelSource,
): string {
  const name = `Linux ${info.release}`;
  if (source?.kind !== "directory") return name;
  const { path, asIs } = source;
  if (asIs) return `${name} (${path}, built as it is)`;
  return `${name} (${path} ${patch === "carried" ? "carries the patch" : "with the patch added to a copy"})`;
}
