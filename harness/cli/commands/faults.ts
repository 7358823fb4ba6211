// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../lib/model/scenario.ts";
import { filterScenarios, readCatalogue } from "../../run/catalogue.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, throwIfInterrupted, UsageError } from "../../../vm/host/errors.ts";
import { faultScenarios, sweepSkipReason } from "../../faults/fault_scenarios.ts";
import { formatOutcomes, newFaultTally, sweepFaults } from "../../faults/sweep_faults.ts";
import { givenOptions } from "../parse_options.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  argsToResume,
  FILTER_OPTION,
  FILTER_WORDS,
  kernelSourceOption,
  platformsOption,
  RUN_OUT_OPTIONS,
  SOURCE_OPTIONS,
} from "../shared_options.ts";
import { planGuests } from "../../run/guest/plan_guest.ts";
import { preparePlanned } from "../../run/guest/prepare_guest.ts";
import { onInterrupt } from "../../run/on_interrupt.ts";
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
    flavour: ["NAME", "fault (the default) or debug; plain kernels have no fault injection"],
    sites: "print each allocation that was failed, and how often",
    ...SOURCE_OPTIONS,
    ...ACCELERATOR_OPTION,
    ...RUN_OUT_OPTIONS,
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
    using interrupt = onInterrupt(terminal);
    const { signal } = interrupt;
    const plans = await planGuests(scenarios.length > 0 ? platforms : [], {
      ...{ terminal, signal, scenarios },
      accelerator: options.string("accel"),
      source: kernelSourceOption(options),
    });
    const report = await RunReport.open({
      directory: options.string("out"),
      terminal,
      task: ["ckptest", "faults"],
      args: argsToResume(options),
      resume: options.flag("resume"),
    });
    const tally = newFaultTally();
    const { counts } = await report.during(signal, async () => {
      try {
        for (const plan of plans) {
          throwIfInterrupted(signal);
          const prepared = await preparePlanned(plan);
          const { name } = plan.platform;
          report.beginPlatform({ ...prepared, name, kernelOptions: givenOptions(options, SOURCE_OPTIONS) });
          const skipReason = (scenario: Scenario): string | undefined =>
            prepared.skipReason(scenario) ?? sweepSkipReason(scenario);
          await runPlatform({ ...prepared, skipReason }, report.rest(name, scenarios), report, {
            secondCheck: (guest) => (seen) =>
              sweepFaults(guest, seen, { checkpointNr: prepared.checkpointNr, tally }),
          });
        }
      } finally {
        const { faults, sites, outcomes } = tally;
        report.note(`${faults} faults at ${sites.size} allocation sites: ${formatOutcomes(outcomes)}`);
        for (const [site, times] of options.flag("sites") ? [...sites].toSorted() : []) {
          report.note(`  ${times} x ${site}`);
        }
      }
    });
    // A sweep without a fault shows nothing, whatever passed.
    const isEmpty = tally.faults === 0 && !options.flag("resume");
    return isEmpty && counts.failed + counts.lost === 0 ? EXIT_STATUS.nothingRan : exitStatusOf(counts);
  },
};
