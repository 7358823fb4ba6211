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
    "kernel [--arch LIST]",
    "fetch, patch, configure and build the guest kernels, or find them in the cache",
  ],
  options: ["--arch LIST   kernels, separated by commas: x86_64, i386, i386-pae, or all"],
  async run(args) {
    const options = parseOptions(args, { string: ["arch"], words: false });
    const terminal = new Terminal();
    const platforms = parsePlatforms(options.string("arch"), "x86_64");
    for (const arch of new Set(platforms.map(({ kernel }) => kernel))) {
      const build = await buildKernelFor(arch, terminal);
      const how = build.cached ? "from the cache" : `built in ${build.seconds.toFixed(0)} s`;
      terminal.result(`${arch}: Linux ${build.info.release}, ${how}: ${build.vmlinux}`);
    }
    return EXIT_STATUS.pass;
  },
};
