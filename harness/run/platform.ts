// SPDX-License-Identifier: MIT

import { type KernelArch, PLATFORM_ARCHES, PLATFORM_NAMES, type TargetArch } from "../../lib/abi/arch.ts";
import { DEFAULT_SERIES, PORTED_SERIES, type PortedSeries } from "../../lib/abi/series.ts";
import { hasFlavour, KERNEL_FLAVOURS, type KernelFlavour } from "../../vm/kernel/config/kernel_flavour.ts";
import { didYouMean } from "../../vm/host/did_you_mean.ts";
import { UsageError } from "../../vm/host/errors.ts";

/** A kernel and the kind of program that runs on it. */
export interface Platform {
  /**
   * What `--arch` calls it: the architecture, behind a hyphen the flavour unless that is plain, and behind an at
   * sign the kernel series unless that is the default one: `i386-debug@5.10`.
   */
  readonly name: string;
  readonly kernel: KernelArch;
  readonly flavour: KernelFlavour;
  /** Which of the kernels that we build; a kernel given as a file says itself what it is. */
  readonly series: PortedSeries;
  readonly target: TargetArch;
  /** What is added to QEMU's CPU model. */
  readonly cpu?: string;
}

/** Whether its programs have another word size than the kernel. */
export function isCompat({ kernel, target }: Platform): boolean {
  return kernel === "x86_64" && target === "i386";
}

const PLAIN = { flavour: "plain", series: DEFAULT_SERIES } as const;

const ALL: readonly Platform[] = PLATFORM_NAMES.map((name) => ({ name, ...PLATFORM_ARCHES[name], ...PLAIN }));

/** Those of `--arch all`: with plain kernels of the default series, on a processor that has everything. */
export const PLATFORMS: readonly Platform[] = ALL.filter(({ cpu }) => cpu === undefined);

function withFlavour(platform: Platform, flavour: KernelFlavour): Platform {
  return flavour === "plain" ? platform : { ...platform, flavour, name: `${platform.name}-${flavour}` };
}

/** A platform with a kernel of another series. */
export function withSeries(platform: Platform, series: PortedSeries): Platform {
  return series === DEFAULT_SERIES
    ? { ...platform, series }
    : { ...platform, series, name: `${platform.name}@${series}` };
}

interface PlatformOptions {
  readonly arch: string | undefined;
  readonly fallback: string;
  /** What `--flavour` says: of the platforms that name none themselves; plain by default. */
  readonly flavour?: string | undefined;
  /** What `--series` says: a list, of the platforms that name none themselves; 6.1 by default. */
  readonly series?: string | undefined;
}

/**
 * The platforms of `--arch`, `--flavour` and `--series`, series by series. `all`, and the fallback, leave out what
 * cannot be built.
 *
 * @throws {UsageError} when one is not known, or cannot be built
 */
export function parsePlatforms(options: PlatformOptions): readonly Platform[] {
  const { arch = options.fallback, flavour = "plain", series = DEFAULT_SERIES } = options;
  const known = { flavour: knownOf(KERNEL_FLAVOURS, flavour, "option --flavour takes") };
  const words = arch === "all" ? PLATFORMS.map(({ name }) => name) : arch.split(",");
  const named = series.split(",").flatMap((name) => {
    const of = { ...known, series: knownOf(PORTED_SERIES, name, "option --series takes") };
    return words.map((word) => parsePlatform(word, of));
  });
  const all = named.filter(({ kernel, flavour }) => hasFlavour(kernel, flavour));
  const other = named.find((platform) => !all.includes(platform));
  if (other && (options.arch ?? "all") !== "all") {
    throw new UsageError(`option --flavour: ${other.flavour} is for kernels of x86_64: found ${other.name}`);
  }
  // A platform that names its series itself comes once, whatever --series says.
  return [...new Map(all.map((platform) => [platform.name, platform])).values()];
}

/** One word of `--arch`; what it does not say itself is as the other options say. */
function parsePlatform(word: string, others: Pick<Platform, "flavour" | "series">): Platform {
  const [name, series] = word.split("@", 2);
  for (const platform of ALL) {
    const flavour = KERNEL_FLAVOURS.find((flavour) => withFlavour(platform, flavour).name === name);
    if (flavour === undefined) continue;
    const of = series === undefined
      ? others.series
      : knownOf(PORTED_SERIES, series, `option --arch: behind "${name}@" comes one of`);
    return withSeries(withFlavour(platform, flavour === "plain" ? others.flavour : flavour), of);
  }
  throw new UsageError(
    `option --arch takes ${PLATFORM_NAMES.join(", ")}, each with -FLAVOUR behind it (${
      KERNEL_FLAVOURS.slice(1).join(", ")
    }), and @5.10 or @6.12, or all: found "${word}"${didYouMean(word, PLATFORM_NAMES)}`,
  );
}

function knownOf<const T extends string>(all: readonly T[], name: string, where: string): T {
  const found = all.find((known) => known === name);
  if (found === undefined) {
    throw new UsageError(`${where} ${all.join(", ")}: found "${name}"${didYouMean(name, all)}`);
  }
  return found;
}
