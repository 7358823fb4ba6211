// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../lib/model/scenario.ts";
import { filterScenarios, readCatalogue } from "../../run/catalogue.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { faultScenarios, sweepSkipReason } from "../../check/faults/fault_scenarios.ts";
import { formatOutcomes, newFaultTally, sweepFaults } from "../../check/faults/sweep_faults.ts";
import { givenOptions } from "../parse_options.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  FILTER_OPTION,
  FILTER_WORDS,
  kernelSourceOption,
  OUT_OPTION,
  platformsOption,
  SOURCE_OPTIONS,
} from "../shared_options.ts";
import { prepareGuest } from "../../run/guest/prepare_guest.ts";
import { runPlatform } from "../../run/run_platform.ts";
import { exitStatusOf, RunReport } from "../../run/run_report.ts";
import { Terminal } from "../../report/terminal.ts";

/** `faults`: every allocation of the system call fails once. */
export const faultsCommand: Command = {
  usage: [
    "faults [--filter TEXT]... [--arch LIST] [--flavour debug|fault] [--series LIST] [--sites] [--out DIR]",
    "let the 1st, 2nd, ... nth allocation of the call fail, until a call goes through untouched",
  ],
  options: {
    ...FILTER_OPTION,
    ...ARCH_OPTION,
    flavour: { value: "NAME", help: "fault (the default) or debug; plain kernels have no fault injection" },
    sites: { help: "print each allocation that was failed, and how often" },
    ...SOURCE_OPTIONS,
    ...ACCELERATOR_OPTION,
    ...OUT_OPTION,
  },
  words: FILTER_WORDS,
  async run(options) {
    const platforms = platformsOption(options, { fallback: "x86_64,i386", flavour: "fault" });
    const plain = platforms.find(({ flavour }) => flavour === "plain");
    if (plain) {
      throw new UsageError(`faults needs --flavour debug or fault: ${plain.name} has no fault injection`);
    }
    const filters = [...options.list("filter"), ...options.words];
    const catalogue = await readCatalogue();
    const scenarios = filters.length > 0 ? filterScenarios(catalogue, filters) : faultScenarios(catalogue);
    const terminal = new Terminal();
    const report = await RunReport.open(options.string("out"), terminal, ["ckptest", "faults"]);
    const tally = newFaultTally();
    for (const platform of scenarios.length > 0 ? platforms : []) {
      const accelerator = options.string("accel");
      const prepared = await prepareGuest(platform, {
        terminal,
        accelerator,
        source: kernelSourceOption(options),
        scenarios,
      });
      report.beginPlatform({
        ...prepared,
        name: platform.name,
        kernelOptions: givenOptions(options, SOURCE_OPTIONS),
      });
      const skipReason = (scenario: Scenario): string | undefined =>
        prepared.skipReason(scenario) ?? sweepSkipReason(scenario);
      await runPlatform({ ...prepared, skipReason }, scenarios, report, {
        secondCheck: (guest) => (seen) =>
          sweepFaults(guest, seen, { checkpointNr: prepared.checkpointNr, tally }),
      });
    }
    const { faults, sites, outcomes } = tally;
    report.note(`${faults} faults at ${sites.size} allocation sites: ${formatOutcomes(outcomes)}`);
    if (options.flag("sites")) {
      for (const [site, times] of [...sites].toSorted()) report.note(`  ${times} x ${site}`);
    }
    const { counts } = await report.close();
    // A sweep without a fault shows nothing, whatever passed.
    return faults === 0 && counts.failed + counts.lost === 0 ? EXIT_STATUS.nothingRan : exitStatusOf(counts);
  },
};
