// SPDX-License-Identifier: MIT

import type { KernelArch, TargetArch } from "../lib/abi/arch.ts";
import { UsageError } from "./exit_status.ts";

/** A kernel and the kind of program that runs on it. */
export interface Platform {
  readonly name: string;
  readonly kernel: KernelArch;
  readonly target: TargetArch;
}

/** All platforms; `compat` is a 32-bit program on the x86-64 kernel. */
export const PLATFORMS: readonly Platform[] = [
  { name: "x86_64", kernel: "x86_64", target: "x86_64" },
  { name: "i386", kernel: "i386", target: "i386" },
  { name: "i386-pae", kernel: "i386-pae", target: "i386" },
  { name: "compat", kernel: "x86_64", target: "i386" },
];

const NAMES = PLATFORMS.map(({ name }) => name).join(", ");

/**
 * The platforms of `--arch`.
 *
 * @param fallback what to take when the option is not given
 * @throws {UsageError} when one is not known
 */
export function parsePlatforms(text: string | undefined, fallback: string): readonly Platform[] {
  const wanted = text ?? fallback;
  if (wanted === "all") return PLATFORMS;
  return wanted.split(",").map((name) => {
    const platform = PLATFORMS.find((known) => known.name === name);
    if (!platform) throw new UsageError(`option --arch takes ${NAMES} or all: found "${name}"`);
    return platform;
  });
}
