// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../lib/model/scenario.ts";
import { filterByName, readCatalogue } from "../../run/catalogue.ts";
import { EXIT_STATUS, throwIfInterrupted, UsageError } from "../../../vm/host/errors.ts";
import {
  faultScenarios,
  formatOutcomes,
  newFaultTally,
  sweepBoth,
  sweepSkipReason,
} from "../../faults/sweep_faults.ts";
import { type Command, defineCommand, flag, oneOf, optionArgs, value } from "../options.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  argsToResume,
  FILTER_WORDS,
  kernelSourceOption,
  RUN_OUT_OPTIONS,
  SOURCE_OPTIONS,
  TREE_OPTIONS,
} from "../shared_options.ts";
import { planGuests } from "../../run/guest/plan_guest.ts";
import { preparePlanned } from "../../run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../run/platform.ts";
import { runPlatform } from "../../run/run_platform.ts";
import { exitStatusOf, RunReport } from "../../run/run_report.ts";
import { writePage } from "../../report/html_report.ts";

/** `faults`: every allocation of the two system calls fails once. */
export const faultsCommand: Command = defineCommand({
  ...FILTER_WORDS,
  ...ARCH_OPTION,
  flavour: value(oneOf(["fault", "debug"]), "the kind of kernel; fault by default"),
  sites: flag("print each allocation that was failed, and how often"),
  ...SOURCE_OPTIONS,
  ...ACCELERATOR_OPTION,
  ...RUN_OUT_OPTIONS,
}, {
  about: "let the 1st, 2nd, ... nth allocation of both calls fail, until one goes through untouched",
  async run(options, { args, terminal, signal }) {
    const { filter, arch, flavour = "fault", series, accel, out, resume } = options;
    const platforms = parsePlatforms({ arch, flavour, series, fallback: "x86_64,i386" });
    const plain = platforms.find(({ flavour }) => flavour === "plain");
    if (plain) {
      throw new UsageError(`faults needs --flavour debug or fault: ${plain.name} has no fault injection`);
    }
    const catalogue = await readCatalogue();
    const scenarios = filter.length > 0 ? filterByName(catalogue, filter) : faultScenarios(catalogue);
    const source = kernelSourceOption(options);
    const plans = await planGuests(platforms, { terminal, signal, scenarios, accelerator: accel, source });
    const task = ["ckptest", "faults"] as const;
    const report = await RunReport.open({
      ...{ directory: out, terminal, task, args: argsToResume(args), resume },
      writePage: (directory) => writePage(directory, terminal),
    });
    const kernelOptions = optionArgs(options, { ...TREE_OPTIONS, ...ACCELERATOR_OPTION });
    const tally = newFaultTally();
    const { counts } = await report.during(signal, async () => {
      try {
        for (const plan of plans) {
          throwIfInterrupted(signal);
          const prepared = await preparePlanned(plan);
          const { name } = plan.platform;
          report.beginPlatform({ ...prepared, name, kernelOptions });
          const skipReason = (scenario: Scenario): string | undefined =>
            prepared.skipReason(scenario) ?? sweepSkipReason(scenario);
          await runPlatform({ ...prepared, skipReason }, report.rest(name, scenarios), report, {
            secondCheck: sweepBoth(prepared, tally),
          });
        }
      } finally {
        const { faults, sites, outcomes } = tally;
        report.note(`${faults} faults at ${sites.size} allocation sites: ${formatOutcomes(outcomes)}`);
        for (const [site, times] of options.sites ? [...sites].toSorted() : []) {
          report.note(`  ${times} x ${site}`);
        }
      }
    });
    // A sweep without a fault shows nothing, whatever passed.
    const isEmpty = tally.faults === 0 && !resume;
    return isEmpty && counts.failed + counts.lost === 0 ? EXIT_STATUS.nothingRan : exitStatusOf(counts);
  },
});
