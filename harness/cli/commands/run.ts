// SPDX-License-Identifier: MIT

import { filterScenarios, readCatalogue, readScenario } from "../../run/catalogue.ts";
import { bisectVerdict } from "../../bisect/bisect_status.ts";
import type { Command } from "../command.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { givenOptions } from "../parse_options.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  argsToResume,
  FILTER_OPTION,
  FILTER_WORDS,
  FLAVOUR_OPTION,
  kernelSourceOption,
  platformsOption,
  RUN_OUT_OPTIONS,
  SOURCE_OPTIONS,
} from "../shared_options.ts";
import { USER_KERNEL_OPTIONS, userKernelOptions } from "../user_kernel_option.ts";
import { planGuests } from "../../run/guest/plan_guest.ts";
import { type PreparedGuest, preparePlanned } from "../../run/guest/prepare_guest.ts";
import { onInterrupt } from "../../run/on_interrupt.ts";
import { runPlatform } from "../../run/run_platform.ts";
import { exitStatusOf, RunReport } from "../../run/run_report.ts";
import { Terminal } from "../../report/terminal.ts";
import { readSplatAllowlist } from "../../triage/splat_allowlist.ts";

const DEFAULT_PLATFORMS = "x86_64,i386";

/** `run`: the catalogue, on each kernel. */
export const runCommand: Command = {
  usage: [
    "run [--filter TEXT]... [--scenario FILE]... [--arch LIST] [--flavour NAME] [--series LIST] [--repeat N] " +
    "[--out DIR]",
    "build what changed, boot guests, run the scenarios and judge every image",
  ],
  options: {
    ...FILTER_OPTION,
    scenario: ["FILE...", "run that scenario file in place of the catalogue"],
    ...ARCH_OPTION,
    ...FLAVOUR_OPTION,
    ...SOURCE_OPTIONS,
    ...ACCELERATOR_OPTION,
    ...USER_KERNEL_OPTIONS,
    repeat: ["N", "how often what failed is run again in fresh guests (0 to 100; 1, and 2 after a splat)"],
    ...RUN_OUT_OPTIONS,
    "bisect-status": "a status for git bisect run: 0 good, 1 bad, 125 not built, not booted or nothing ran",
    failure: [
      "TEXT...",
      "with it, bad is only a failure with TEXT in the id of a finding or the title of a complaint",
    ],
  },
  words: FILTER_WORDS,
  async run(options) {
    if (options.list("failure").length > 0 && !options.flag("bisect-status")) {
      throw new UsageError("option --failure goes with --bisect-status");
    }
    const repeat = options.number("repeat", { min: 0, max: 100 });
    // A list that is wrong ends the run before anything is built.
    await readSplatAllowlist();
    const user = userKernelOptions(options);
    const source = kernelSourceOption(options);
    const files = options.list("scenario");
    const all = files.length > 0 ? await Promise.all(files.map(readScenario)) : await readCatalogue();
    const scenarios = filterScenarios(all, [...options.list("filter"), ...options.words]);
    const platforms = platformsOption(options, {
      fallback: user.kernelFile === undefined ? DEFAULT_PLATFORMS : "x86_64",
    });
    if (user.kernelFile !== undefined && platforms.length > 1) {
      throw new UsageError(`option --bzimage takes one kernel: name its platform with --arch`);
    }
    const terminal = new Terminal();
    using interrupt = onInterrupt(terminal);
    const { signal } = interrupt;
    const request = { ...user, source, scenarios, terminal, signal, accelerator: options.string("accel") };
    const plans = await planGuests(scenarios.length > 0 ? platforms : [], request);
    const report = await RunReport.open({
      directory: options.string("out"),
      terminal,
      task: ["test:qemu"],
      args: argsToResume(options),
      resume: options.flag("resume"),
    });
    const result = await report.during(signal, async () => {
      const all: PreparedGuest[] = [];
      const kernelOptions = givenOptions(options, { ...SOURCE_OPTIONS, ...USER_KERNEL_OPTIONS });
      // One kernel build at a time uses all processors; guests have one processor each and run side by side.
      for (const plan of plans) {
        const prepared = await preparePlanned(plan);
        const { name } = prepared.platform;
        report.beginPlatform({ ...prepared, name, kernelOptions }, prepared.notes.join("; "));
        all.push(prepared);
      }
      const runs = all.map((prepared) =>
        runPlatform(prepared, report.rest(prepared.platform.name, scenarios), report, { repeat })
      );
      // One that fails does not leave the others' guests behind.
      await Promise.allSettled(runs);
      await Promise.all(runs);
    });
    if (!options.flag("bisect-status")) return exitStatusOf(result.counts);
    const verdict = bisectVerdict(result, options.list("failure"));
    terminal.result(`${verdict.word}: ${verdict.text}`);
    return verdict.status;
  },
};
