// SPDX-License-Identifier: MIT

import { buildKernelFor, isKernelCached } from "../../run/guest/prepare_guest.ts";
import { kernelBuildLine } from "../../run/guest/kernel_build_line.ts";
import { parsePlatforms } from "../../run/platform.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { kernelSourceOption, SOURCE_FLAGS, SOURCE_HELP, SOURCE_OPTIONS } from "../kernel_source_option.ts";
import { userKernelOptions } from "../user_kernel_option.ts";
import { parseOptions } from "../parse_options.ts";
import { Terminal } from "../../report/terminal.ts";

/** `kernel`: builds the guest kernels without booting one. */
export const kernelCommand: Command = {
  usage: [
    "kernel [--arch LIST] [--flavour NAME] [--series LIST] [--cached]",
    "fetch, patch, configure and build the guest kernels, or find them in the cache",
  ],
  options: [
    "--arch LIST      kernels, separated by commas: x86_64, i386, i386-pae, or all",
    "--flavour NAME   plain, debug or fault",
    "--cached         build nothing: status 5 unless the cache has them all",
    ...SOURCE_HELP,
    "--kernel-config FILE a whole .config, in place of the project's",
    "--channel serial  a kernel with a second serial port in place of virtio ports",
  ],
  async run(args) {
    const options = parseOptions(args, {
      string: [...SOURCE_OPTIONS, "arch", "flavour", "channel", "kernel-config"],
      boolean: [...SOURCE_FLAGS, "cached"],
      words: false,
    });
    const source = kernelSourceOption(options);
    const { channel, configFile } = userKernelOptions(options);
    const request = { source, channel, configFile };
    const terminal = new Terminal();
    const platforms = parsePlatforms({
      arch: options.string("arch"),
      fallback: "x86_64",
      flavour: options.string("flavour"),
      series: options.string("series"),
    });
    const kernels = new Map(
      platforms.map((platform) => [[platform.kernel, platform.flavour, platform.series].join(), platform]),
    );
    for (const platform of kernels.values()) {
      if (options.flag("cached")) {
        const isCached = await isKernelCached(platform, request);
        terminal.result(`${platform.name}: ${isCached ? "in the cache" : "not in the cache"}`);
        if (!isCached) return EXIT_STATUS.nothingRan;
        continue;
      }
      const build = await buildKernelFor(platform, terminal, request);
      terminal.result(kernelBuildLine(platform.name, build, source));
    }
    return EXIT_STATUS.pass;
  },
};
