// SPDX-License-Identifier: MIT

import { cacheDirectory } from "../../../vm/host/own_directories.ts";
import {
  buildKernel,
  type KernelBuild,
  type KernelBuildOptions,
  planKernel,
} from "../../../vm/kernel/build/build_kernel.ts";
import { findStored } from "../../../vm/kernel/kernel_store.ts";
import type { KernelSource } from "../../../vm/kernel/source/kernel_source.ts";
import type { OverlayEdit, OverlayFiles } from "../../../vm/kernel/source/kernel_overlay.ts";
import type { GuestChannel } from "../../../vm/qemu/qemu_arguments.ts";
import type { Terminal } from "../../report/terminal.ts";
import { isCompat, type Platform } from "../platform.ts";

/** What is built. */
export interface BuildRequest {
  /** Edits that make the kernel wrong on purpose. */
  readonly mutations?: readonly OverlayEdit[];
  /** Files laid over the project's own. */
  readonly moreFiles?: OverlayFiles | undefined;
  /** Debian's source of the platform's series by default. */
  readonly source?: KernelSource | undefined;
  /** How the agent is reached; by default as a ready kernel's configuration wants it, else `virtio`. */
  readonly channel?: GuestChannel | undefined;
  /** A whole `.config` in place of ours. */
  readonly configFile?: string | undefined;
  /** Options over all others, `CONFIG_X=VALUE` each. */
  readonly moreOptions?: readonly string[] | undefined;
}

/** Builds the kernel of a platform, with progress. */
export async function buildKernelFor(
  platform: Platform,
  terminal: Terminal,
  request: BuildRequest = {},
): Promise<KernelBuild> {
  const { name } = platform;
  const build = await buildKernel({
    ...buildOptions(platform, request),
    onProgress: ({ stage, message, seconds }) =>
      terminal.status(
        `${name}: kernel, ${stage}: ${message} (${seconds.toFixed(0)} s)`,
        `${name}: kernel, ${stage}`,
      ),
  });
  terminal.clearStatus();
  return build;
}

/** Whether the kernel of a platform need not be built. */
export async function isKernelCached(platform: Platform, request: BuildRequest = {}): Promise<boolean> {
  const { key } = await planKernel(buildOptions(platform, request));
  return await findStored(cacheDirectory(), key) !== undefined;
}

function buildOptions(
  platform: Platform,
  { mutations = [], moreFiles, source, channel = "virtio", configFile, moreOptions }: BuildRequest,
): KernelBuildOptions {
  const { kernel: arch, flavour, series } = platform;
  return {
    arch,
    flavour,
    source: source ?? { kind: "debian", series },
    mutations,
    moreFiles,
    moreFragments: channel === "serial" ? ["serial"] : [],
    configFile,
    moreOptions,
    bootedAs: { channel, isCompat: isCompat(platform) },
  };
}

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
