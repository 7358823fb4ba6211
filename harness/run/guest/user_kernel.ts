// SPDX-License-Identifier: MIT

import { dirname, join } from "@std/path";
import type { KernelArch } from "../../../lib/abi/arch.ts";
import type { GuestChannel } from "../../../vm/qemu/qemu_arguments.ts";
import { type KernelFile, readKernelFile } from "../../../vm/kernel/kernel_file.ts";
import type { KernelConfig } from "../../../vm/kernel/config/kernel_config.ts";
import { isOlder, PORTED_SERIES, type PortedSeries } from "../../../lib/abi/series.ts";
import { channelFor, missingOptions, neededText } from "../../../vm/kernel/config/needed_options.ts";
import { ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { isCompat, type Platform, withSeries } from "../platform.ts";
import { configAt } from "../catalogue.ts";

/** What is known of a ready kernel before it is booted. */
export interface UserKernelFile extends Pick<KernelFile, "release" | "config"> {
  /** The platform, of the series whose model judges the kernel. */
  readonly platform: Platform;
  readonly channel: GuestChannel;
  /** The file itself, where it is one that has symbols. */
  readonly vmlinux: string | undefined;
  /** What the user should know: which channel and why. */
  readonly notes: readonly string[];
}

/** What the command line says of it. */
export interface UserKernelRequest {
  readonly path: string;
  readonly platform: Platform;
  readonly channel: GuestChannel | undefined;
  /** Whether the number of the system call was given: its option may then have any name. */
  readonly hasNumber: boolean;
}

/**
 * Looks at a ready kernel: what it is, which model fits it, and whether it has what no guest can do without.
 *
 * @throws {UsageError} naming the file, and each option that it lacks
 */
export async function examineKernelFile(question: UserKernelRequest): Promise<UserKernelFile> {
  const { path, platform, hasNumber } = question;
  const file = await readKernelFile(path).catch((error) => {
    throw error instanceof ExpectedError ? new UsageError(`option --bzimage: ${error.message}`) : error;
  });
  const { release } = file;
  const { config, where } = await configFor(path, file);
  const kinds = kernelArches(file.bits, config);
  if (!kinds.includes(platform.kernel)) {
    throw new UsageError(
      `option --bzimage: ${path} is built for ${kinds.join(" or ")}: name it with --arch ` +
        `(expected a kernel for ${platform.kernel}, as platform ${platform.name} has it)`,
    );
  }
  const channel = question.channel ?? channelFor(config, release);
  const missing = config === undefined ? [] : missingOptions(config, {
    release,
    channel,
    isElf: file.format === "vmlinux",
    isCompat: isCompat(platform),
    needsPatchOption: !hasNumber,
  });
  if (missing.length > 0) {
    throw new UsageError(
      `option --bzimage: ${path} cannot be tested: ${where} lacks ${missing.length} needed ` +
        `option${missing.length === 1 ? "" : "s"}\n  ${missing.map(neededText).join("\n  ")}`,
    );
  }
  const notes = question.channel === undefined && channel === "serial"
    ? ["the kernel has no virtio ports: the agent talks over a second serial port, slowly"]
    : [];
  const { series } = modelSeries(release);
  const named = withSeries({ ...platform, name: platform.name.split("@")[0]! }, series);
  const vmlinux = file.format === "vmlinux" ? path : undefined;
  return { platform: named, release, config, channel, vmlinux, notes };
}

/** What a kernel may be built for, by its configuration or its header. */
function kernelArches(bits: 32 | 64 | undefined, config: KernelConfig | undefined): KernelArch[] {
  const has = (option: string) => config?.get(option) === "y";
  if (bits === 64 || has("CONFIG_X86_64")) return ["x86_64"];
  if (has("CONFIG_X86_32")) return [has("CONFIG_X86_PAE") ? "i386-pae" : "i386"];
  return [...bits === 32 ? [] : ["x86_64" as const], "i386", "i386-pae"];
}

/** The configuration of a kernel, and where it was found: beside it, at the top of its build directory, or in it. */
async function configFor(
  path: string,
  { release, config }: KernelFile,
): Promise<{ config: KernelConfig | undefined; where: string }> {
  const directory = dirname(path);
  const names = [".config", `config-${release}`].map((name) => join(directory, name));
  if (directory.endsWith("arch/x86/boot")) names.push(join(directory, "../../../.config"));
  for (const where of names) {
    const found = await configAt(where);
    if (found) return { config: found, where };
  }
  return { config, where: "the configuration in it" };
}

/**
 * The series whose model judges a kernel: its own, or the nearest below it, or the oldest one; where it is not its
 * own, the note says so.
 */
export function modelSeries(release: string): { series: PortedSeries; note?: string } {
  const [own] = /^\d+\.\d+/.exec(release) ?? [];
  const series = PORTED_SERIES.findLast((known) => !isOlder(release, known));
  if (series !== undefined && series === own) return { series };
  const judge = series ?? PORTED_SERIES[0];
  const which = series === undefined ? "the oldest there is" : "the nearest below it";
  return { series: judge, note: `Linux ${release} is judged by the model of ${judge}, ${which}` };
}
