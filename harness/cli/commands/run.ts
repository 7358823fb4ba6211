// SPDX-License-Identifier: MIT

import { filterByName, readCatalogue, readScenario } from "../../run/catalogue.ts";
import { bisectVerdict } from "../../bisect/run_outcome.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { type Command, defineCommand, flag, optionArgs, value, values, wholeNumber } from "../options.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  argsToResume,
  FILTER_WORDS,
  FLAVOUR_OPTION,
  kernelSourceOption,
  RUN_OUT_OPTIONS,
  SOURCE_OPTIONS,
  TREE_OPTIONS,
  USER_KERNEL_OPTIONS,
  userKernelOptions,
} from "../shared_options.ts";
import { planGuests } from "../../run/guest/plan_guest.ts";
import { type PreparedGuest, preparePlanned } from "../../run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../run/platform.ts";
import { runPlatform } from "../../run/run_platform.ts";
import { exitStatusOf, RunReport } from "../../run/run_report.ts";
import { writePage } from "../../report/html_report.ts";
import { readSplatAllowlist } from "../../triage/splat_allowlist.ts";

const DEFAULT_PLATFORMS = "x86_64,i386";

/** `run`: the catalogue, on each kernel. */
export const runCommand: Command = defineCommand({
  ...FILTER_WORDS,
  scenario: values("FILE", "run that scenario file in place of the catalogue"),
  ...ARCH_OPTION,
  ...FLAVOUR_OPTION,
  ...SOURCE_OPTIONS,
  ...ACCELERATOR_OPTION,
  ...USER_KERNEL_OPTIONS,
  repeat: value(wholeNumber(0, 100), "how often what failed is run again alone; once, twice after a splat"),
  ...RUN_OUT_OPTIONS,
  bisectStatus: flag("status for git bisect run: 0 good, 1 bad, 125 not built, not booted or nothing ran"),
  failure: values(
    "TEXT",
    "with it, only a failure with TEXT in a finding's id or a complaint's title is bad",
  ),
}, {
  about: "build what changed, boot guests, run the scenarios and judge every image",
  async run(options, { args, terminal, signal }) {
    const { filter, scenario: files, arch, flavour, series, accel, repeat, out, resume, failure } = options;
    if (failure.length > 0 && !options.bisectStatus) {
      throw new UsageError("option --failure goes with --bisect-status");
    }
    // A list that is wrong ends the run before anything is built.
    await readSplatAllowlist();
    const user = userKernelOptions(options);
    const source = kernelSourceOption(options);
    const all = files.length > 0 ? await Promise.all(files.map(readScenario)) : await readCatalogue();
    const scenarios = filterByName(all, filter);
    const fallback = user.kernelFile === undefined ? DEFAULT_PLATFORMS : "x86_64";
    const platforms = parsePlatforms({ arch, flavour, series, fallback });
    if (user.kernelFile !== undefined && platforms.length > 1) {
      throw new UsageError(`option --bzimage takes one kernel: name its platform with --arch`);
    }
    const request = { ...user, source, scenarios, terminal, signal, accelerator: accel };
    const plans = await planGuests(platforms, request);
    const report = await RunReport.open({
      ...{ directory: out, terminal, task: ["test:qemu"], args: argsToResume(args), resume },
      writePage: (directory) => writePage(directory, terminal),
      scenarioFiles: new Map(files.map((file, index) => [all[index]!.name, file])),
    });
    const result = await report.during(signal, async () => {
      const all: PreparedGuest[] = [];
      const kernelOptions = optionArgs(options, {
        ...{ ...TREE_OPTIONS, ...ACCELERATOR_OPTION, ...USER_KERNEL_OPTIONS },
      });
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
    if (!options.bisectStatus) return exitStatusOf(result.counts);
    const verdict = bisectVerdict(result, failure);
    terminal.result(`${verdict.word}: ${verdict.text}`);
    return verdict.status;
  },
});
