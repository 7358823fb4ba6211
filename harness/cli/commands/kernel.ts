// SPDX-License-Identifier: MIT

import { buildKernelFor, isKernelCached, kernelBuildLine } from "../../run/guest/platform_kernel.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { FLAVOUR_OPTION, kernelSourceOption, platformsOption, SOURCE_OPTIONS } from "../shared_options.ts";
import { userKernelOptions } from "../user_kernel_option.ts";
import { Terminal } from "../../report/terminal.ts";

/** `kernel`: builds the guest kernels without booting one. */
export const kernelCommand: Command = {
  usage: [
    "kernel [--arch LIST] [--flavour NAME] [--series LIST] [--cached]",
    "fetch, patch, configure and build the guest kernels, or find them in the cache",
  ],
  options: {
    arch: ["LIST", "kernels, separated by commas: x86_64, i386, i386-pae, or all"],
    ...FLAVOUR_OPTION,
    cached: "build nothing: status 5 unless the cache has them all",
    ...SOURCE_OPTIONS,
    "kernel-config": ["FILE", "a whole .config, in place of the project's"],
    channel: ["NAME", "virtio, or serial: a kernel with a second serial port in place of virtio"],
  },
  async run(options) {
    const source = kernelSourceOption(options);
    const { channel, configFile } = userKernelOptions(options);
    const request = { source, channel, configFile };
    const terminal = new Terminal();
    const platforms = platformsOption(options, { fallback: "x86_64" });
    const kernels = new Map(
      platforms.map((platform) => [[platform.kernel, platform.flavour, platform.series].join(), platform]),
    );
    const built: { platform: string; cached: boolean }[] = [];
    for (const platform of kernels.values()) {
      if (options.flag("cached")) {
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
};
