// SPDX-License-Identifier: MIT

import type { KernelArch, TargetArch } from "../lib/abi/arch.ts";
import { KERNEL_FLAVOURS, type KernelFlavour } from "../vm/kernel/kernel_flavour.ts";
import { UsageError } from "./exit_status.ts";

/** A kernel and the kind of program that runs on it. */
export interface Platform {
  /** What `--arch` calls it: the architecture, and behind a hyphen the flavour unless that is plain. */
  readonly name: string;
  readonly kernel: KernelArch;
  readonly flavour: KernelFlavour;
  readonly target: TargetArch;
}

/** All platforms with plain kernels; `compat` is a 32-bit program on the x86-64 kernel. */
export const PLATFORMS: readonly Platform[] = [
  { name: "x86_64", kernel: "x86_64", flavour: "plain", target: "x86_64" },
  { name: "i386", kernel: "i386", flavour: "plain", target: "i386" },
  { name: "i386-pae", kernel: "i386-pae", flavour: "plain", target: "i386" },
  { name: "compat", kernel: "x86_64", flavour: "plain", target: "i386" },
];

const NAMES = PLATFORMS.map(({ name }) => name).join(", ");

/** A platform with a kernel of another flavour. */
export function withFlavour(platform: Platform, flavour: KernelFlavour): Platform {
  return flavour === "plain" ? platform : { ...platform, flavour, name: `${platform.name}-${flavour}` };
}

const KNOWN = KERNEL_FLAVOURS.flatMap((flavour) =>
  PLATFORMS.map((platform) => withFlavour(platform, flavour))
);

/** How {@linkcode parsePlatforms} is called. */
export interface PlatformOptions {
  /** What `--arch` says. */
  readonly arch: string | undefined;
  /** What to take when it says nothing. */
  readonly fallback: string;
  /** What `--flavour` says: of the platforms that name none themselves; plain by default. */
  readonly flavour?: string | undefined;
}

/**
 * The platforms of `--arch` and `--flavour`.
 *
 * @throws {UsageError} when one is not known
 */
export function parsePlatforms({ arch, fallback, flavour = "plain" }: PlatformOptions): readonly Platform[] {
  const wanted = arch ?? fallback;
  const isFlavour = (name: string): name is KernelFlavour => KERNEL_FLAVOURS.includes(name as KernelFlavour);
  if (!isFlavour(flavour)) {
    throw new UsageError(`option --flavour takes ${KERNEL_FLAVOURS.join(", ")}: found "${flavour}"`);
  }
  if (wanted === "all") return PLATFORMS.map((platform) => withFlavour(platform, flavour));
  return wanted.split(",").map((name) => {
    const platform = KNOWN.find((known) => known.name === name);
    if (!platform) {
      throw new UsageError(
        `option --arch takes ${NAMES}, each with -debug or -fault behind it, or all: found "${name}"`,
      );
    }
    return platform.flavour === "plain" ? withFlavour(platform, flavour) : platform;
  });
}
