// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../lib/model/scenario.ts";
import { filterScenarios, readCatalogue } from "../../run/catalogue.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { faultScenarios, sweepSkipReason } from "../../check/faults/fault_scenarios.ts";
import { formatOutcomes, newFaultTally, sweepFaults } from "../../check/faults/fault_judge.ts";
import {
  kernelOptionsOf,
  kernelSourceOption,
  SOURCE_FLAGS,
  SOURCE_HELP,
  SOURCE_OPTIONS,
} from "../kernel_source_option.ts";
import { parseOptions } from "../parse_options.ts";
import { parsePlatforms } from "../../run/platform.ts";
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
  options: [
    "--filter TEXT     only scenarios whose name contains TEXT (may be repeated); a selection by default",
    "--arch LIST       kernels, separated by commas, or all",
    "--flavour NAME    fault (the default) or debug; plain kernels have no fault injection",
    "--sites           print each allocation that was failed, and how often",
    ...SOURCE_HELP,
    "--accel NAME      kvm or tcg, in place of the probe",
    "--out DIR         where the results go; a new directory below the cache by default",
  ],
  async run(args) {
    const options = parseOptions(args, {
      string: [...SOURCE_OPTIONS, "arch", "flavour", "accel", "out"],
      collect: ["filter"],
      boolean: [...SOURCE_FLAGS, "sites"],
    });
    const platforms = parsePlatforms({
      arch: options.string("arch"),
      fallback: "x86_64,i386",
      flavour: options.string("flavour") ?? "fault",
      series: options.string("series"),
    });
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
      report.beginPlatform({ ...prepared, name: platform.name, kernelOptions: kernelOptionsOf(options) });
      const skipReason = (scenario: Scenario): string | undefined =>
        prepared.skipReason(scenario) ?? sweepSkipReason(scenario);
      await runPlatform({ ...prepared, skipReason }, scenarios, report, {
        secondJudge: (guest) => (seen) =>
          sweepFaults(guest, seen, { checkpointNr: prepared.checkpointNr, tally }),
      });
    }
    const { faults, sites, outcomes } = tally;
    report.note(`${faults} faults at ${sites.size} allocation sites: ${formatOutcomes(outcomes)}`);
    if (options.flag("sites")) {
      for (const [site, times] of [...sites].toSorted()) report.note(`  ${times} x ${site}`);
    }
    const counts = await report.close();
    // A sweep without a fault shows nothing, whatever passed.
    return faults === 0 && counts.failed + counts.lost === 0 ? EXIT_STATUS.nothingRan : exitStatusOf(counts);
  },
};
