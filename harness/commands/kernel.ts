// SPDX-License-Identifier: MIT

import { buildKernelFor } from "../prepare_guest.ts";
import { parsePlatforms } from "../platform.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS } from "../exit_status.ts";
import { parseOptions } from "../parse_options.ts";
import { Terminal } from "../terminal.ts";

/** `kernel`: builds the guest kernels without booting one. */
export const kernelCommand: Command = {
  usage: [
    "kernel [--arch LIST] [--flavour NAME] [--series LIST]",
    "fetch, patch, configure and build the guest kernels, or find them in the cache",
  ],
  options: [
    "--arch LIST      kernels, separated by commas: x86_64, i386, i386-pae, or all",
    "--flavour NAME   plain, debug or fault",
    "--series LIST    5.10, 6.1 (default), 6.12; where Debian's source is not installed it is fetched",
  ],
  async run(args) {
    const options = parseOptions(args, { string: ["arch", "flavour", "series"], words: false });
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
      const build = await buildKernelFor(platform, terminal);
      const how = build.cached ? "from the cache" : `built in ${build.seconds.toFixed(0)} s`;
      terminal.result(`${platform.name}: Linux ${build.info.release}, ${how}: ${build.vmlinux}`);
    }
    return EXIT_STATUS.pass;
  },
};
