// SPDX-License-Identifier: MIT

import { buildKernelFor, isKernelCached, kernelBuildLine } from "../../run/guest/platform_kernel.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { parsePlatforms } from "../../run/platform.ts";
import { type Command, defineCommand, flag, value } from "../options.ts";
import {
  BUILT_KERNEL_OPTIONS,
  FLAVOUR_OPTION,
  kernelSourceOption,
  SOURCE_OPTIONS,
} from "../shared_options.ts";

/** `kernel`: builds the guest kernels without booting one. */
export const kernelCommand: Command = defineCommand({
  arch: value("LIST", "kernels, separated by commas: x86_64, i386, i386-pae, or all"),
  ...FLAVOUR_OPTION,
  cached: flag("build nothing: status 5 unless the cache has them all"),
  ...SOURCE_OPTIONS,
  ...BUILT_KERNEL_OPTIONS,
}, {
  about: "fetch, patch, configure and build the guest kernels, or find them in the cache",
  async run(options, { terminal }) {
    const { arch, flavour, series, cached, channel, kernelConfig: configFile, kconfigAdd: moreOptions } =
      options;
    const source = kernelSourceOption(options);
    const request = { source, channel, configFile, moreOptions };
    const platforms = parsePlatforms({ arch, flavour, series, fallback: "x86_64" });
    const kernels = new Map(
      platforms.map((platform) => [[platform.kernel, platform.flavour, platform.series].join(), platform]),
    );
    const built: { platform: string; cached: boolean }[] = [];
    for (const platform of kernels.values()) {
      if (cached) {
        const isCached = await isKernelCached(platform, request);
        terminal.result(`${platform.name}: ${isCached ? "in the cache" : "not in the cache"}`);
        if (!isCached) return EXIT_STATUS.nothingRan;
        continue;
      }
      const build = await buildKernelFor(platform, terminal, request);
      terminal.result(kernelBuildLine(platform.name, build, source));
      built.push({ platform: platform.name, cached: build.cached });
    }
    return { status: EXIT_STATUS.pass, kernels: built };
  },
});
