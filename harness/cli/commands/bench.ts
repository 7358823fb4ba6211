// SPDX-License-Identifier: MIT

import { measureDumpSpeed, medianRate, speedScenario } from "../../bench/dump_speed.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { ARCH_OPTION, platformsOption } from "../shared_options.ts";
import { planGuests } from "../../run/guest/plan_guest.ts";
import { preparePlanned } from "../../run/guest/prepare_guest.ts";
import { onInterrupt } from "../../run/on_interrupt.ts";
import { Terminal } from "../../report/terminal.ts";

const DEFAULT_PAGES = 8192;
const DEFAULT_ROUNDS = 5;
const MEMORY_MIB = 512;

/** `bench`: how fast the call writes an image, against others that write the same memory. */
export const benchCommand: Command = {
  usage: [
    "bench [--pages N] [--rounds N] [--arch LIST] [--no-gdb]",
    "speed of the call, in one guest: against a plain copy of the pages, and against gdb's gcore",
  ],
  options: {
    pages: ["N", `dirty pages of the process; ${DEFAULT_PAGES} by default`],
    rounds: ["N", `how often each is measured; ${DEFAULT_ROUNDS} by default`],
    ...ARCH_OPTION,
    "no-gdb": "without gdb, which has to be fetched and copied into the guest",
  },
  async run(options) {
    const pages = options.number("pages", { min: 1, max: 1 << 15 }) ?? DEFAULT_PAGES;
    const rounds = options.number("rounds", { min: 1, max: 1000 }) ?? DEFAULT_ROUNDS;
    const withGdb = !options.flag("no-gdb");
    const terminal = new Terminal();
    using interrupt = onInterrupt(terminal);
    const scenario = speedScenario(pages);
    const plans = await planGuests(platformsOption(options, { fallback: "x86_64" }), {
      ...{ terminal, signal: interrupt.signal, memoryMiB: MEMORY_MIB },
      scenarios: withGdb ? [scenario] : [],
    });
    for (const plan of plans) {
      const { platform } = plan;
      const prepared = await preparePlanned(plan);
      await using guest = await prepared.startGuest();
      terminal.status(`${platform.name}: measuring`);
      const timings = await measureDumpSpeed(guest, prepared, { scenario, pages, rounds, withGdb });
      terminal.clearStatus();
      terminal.result(
        `# ${platform.name}: ${prepared.kernelName}, ${pages} dirty pages, median of ${rounds}`,
      );
      const own = medianRate(timings, "checkpoint") ?? 0;
      for (
        const [way, words] of [
          ["checkpoint", "checkpoint(2) to a tmpfs"],
          ["copy", "process_vm_readv(2) and write(2) of the same pages"],
          ["gcore", "gdb's gcore, without gdb's start"],
        ] as const
      ) {
        const rate = medianRate(timings, way);
        if (rate === undefined) continue;
        const ratio = way === "checkpoint" ? "" : `, the call is ${(own / rate).toFixed(2)} times as fast`;
        terminal.result(`${(rate / 1e6).toFixed(0).padStart(7)} MB/s  ${words}${ratio}`);
      }
    }
    return EXIT_STATUS.pass;
  },
};
