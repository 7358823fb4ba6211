// SPDX-License-Identifier: MIT

import type { Scenario } from "../../../lib/model/scenario.ts";
import { filterByName, readCatalogue, readScenario } from "../../run/catalogue.ts";
import { bisectVerdict } from "../../bisect/run_outcome.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { type Command, defineCommand, flag, optionArgs, value, values, wholeNumber } from "../options.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  argsToResume,
  FILTER_WORDS,
  FLAVOUR_OPTION,
  JOBS_OPTION,
  kernelSourceOption,
  MACHINE_OPTIONS,
  machineRequest,
  RUN_OUT_OPTIONS,
  SOURCE_OPTIONS,
  TREE_OPTIONS,
  USER_KERNEL_OPTIONS,
  userKernelOptions,
} from "../shared_options.ts";
import { waitForGdb } from "../../inspect/gdb_command.ts";
import { planGuests } from "../../run/guest/plan_guest.ts";
import { FailureLimit } from "../../run/failure_limit.ts";
import { GuestSlots } from "../../run/guest_slots.ts";
import { failedOf, readScenarioHistory, rememberRun } from "../../run/scenario_history.ts";
import { parsePlatforms } from "../../run/platform.ts";
import { runPlatforms } from "../../run/run_platforms.ts";
import { exitStatusOf, RunReport } from "../../run/run_report.ts";
import { writePage } from "../../report/html_report.ts";
import { watchCommand } from "../../run/watch_command.ts";
import { readSplatAllowlist } from "../../triage/splat_allowlist.ts";

const DEFAULT_PLATFORMS = "x86_64,i386";

const OPTIONS = {
  ...FILTER_WORDS,
  scenario: values("FILE", "run that scenario file in place of the catalogue"),
  ...ARCH_OPTION,
  ...FLAVOUR_OPTION,
  ...SOURCE_OPTIONS,
  ...ACCELERATOR_OPTION,
  ...USER_KERNEL_OPTIONS,
  restart: flag("restart each stopped target from its image, and go on with that"),
  ...MACHINE_OPTIONS,
  watch: flag("run again with each edit of a source: what failed first; keys say more"),
  failed: flag("only what failed on its platform when it ran last"),
  bail: value(wholeNumber(1, 1000), "begin no scenario any more when N have failed"),
  isolate: flag("a fresh guest for every scenario"),
  repeat: value(wholeNumber(0, 100), "how often what failed is run again alone; once, twice after a splat"),
  ...JOBS_OPTION,
  gdb: flag("wait before each checkpoint until gdb has attached and goes on; says how to attach"),
  record: value("DIR", "record every guest, in a directory each below DIR, for ckptest replay"),
  deterministic: flag("a guest for every scenario, in which everything is the same each time"),
  ...RUN_OUT_OPTIONS,
  bisectStatus: flag("status for git bisect run: 0 good, 1 bad, 125 not built, not booted or nothing ran"),
  failure: values(
    "TEXT",
    "with it, only a failure with TEXT in a finding's id or a complaint's title is bad",
  ),
};

/** `run`: the catalogue, on each kernel. */
export const runCommand: Command = defineCommand(OPTIONS, {
  about: "build what changed, boot guests, run the scenarios and judge every image",
  async run(options, { args, terminal, signal }) {
    const { filter, scenario: files, out, resume, failure, gdb, restart: restarts } = options;
    if (failure.length > 0 && !options.bisectStatus) {
      throw new UsageError("option --failure goes with --bisect-status");
    }
    if (options.deterministic && (gdb || options.record !== undefined)) {
      throw new UsageError("option --deterministic does not go with --gdb or --record");
    }
    if (options.watch) {
      if (resume) throw new UsageError("option --watch does not go with --resume");
      const programStatus = await watchCommand({
        ...{ filter, terminal, signal },
        files: [...files, ...options.kernelTree === undefined ? [] : [options.kernelTree]],
        argsOf: (run) => ["run", ...optionArgs({ ...options, ...run, watch: false }, OPTIONS)],
      });
      return { programStatus };
    }
    // A list that is wrong ends the run before anything is built.
    await readSplatAllowlist();
    const user = userKernelOptions(options);
    const source = kernelSourceOption(options);
    const all = files.length > 0 ? await Promise.all(files.map(readScenario)) : await readCatalogue();
    const scenarios = filterByName(all, filter);
    const fallback = user.kernelFile === undefined ? DEFAULT_PLATFORMS : "x86_64";
    const history = await readScenarioHistory();
    const scenariosOf = (platform: string): Scenario[] => {
      const failed = failedOf(history, platform);
      return scenarios.filter(({ name }) => !options.failed || failed.has(name));
    };
    const platforms = parsePlatforms({ ...options, fallback }).filter(({ name }) =>
      !options.failed || scenariosOf(name).length > 0
    );
    if (platforms.length === 0) {
      terminal.result("nothing that was asked for failed when it ran last");
      return EXIT_STATUS.nothingRan;
    }
    if (user.kernelFile !== undefined && platforms.length > 1) {
      throw new UsageError(`option --bzimage takes one kernel: name its platform with --arch`);
    }
    if (gdb && platforms.length > 1) {
      throw new UsageError("option --gdb takes one platform: name it with --arch");
    }
    const request = {
      ...{ ...user, source, scenarios, terminal, signal, accelerator: options.accel, takesGdb: gdb },
      ...{ record: options.record, isDeterministic: options.deterministic },
      ...machineRequest(options),
    };
    const plans = await planGuests(platforms, request);
    const report = await RunReport.open({
      ...{ directory: out, terminal, task: ["test:qemu"], args: argsToResume(args), resume },
      writePage: (directory) => writePage(directory, terminal),
      remember: rememberRun,
      scenarioFiles: new Map(files.map((file, index) => [all[index]!.name, file])),
    });
    const limit = options.bail === undefined ? undefined : new FailureLimit(options.bail);
    const result = await report.during(signal, async () => {
      await runPlatforms(plans, {
        ...{ report, scenariosOf, history, limit, isolate: options.isolate || options.deterministic },
        repeat: gdb ? 0 : options.repeat,
        slots: new GuestSlots(gdb ? 1 : options.jobs ?? navigator.hardwareConcurrency, plans.length),
        runnerOf: (prepared) => ({ restarts, ...gdb && { beforeCall: waitForGdb(prepared, terminal) } }),
        kernelOptions: optionArgs(options, {
          ...{ ...TREE_OPTIONS, ...ACCELERATOR_OPTION, ...USER_KERNEL_OPTIONS, ...MACHINE_OPTIONS },
          ...{ restart: OPTIONS.restart, deterministic: OPTIONS.deterministic },
        }),
      });
      return limit?.stopped;
    });
    if (!options.bisectStatus) return exitStatusOf(result.counts);
    const verdict = bisectVerdict(result, failure);
    terminal.result(`${verdict.word}: ${verdict.text}`);
    return verdict.status;
  },
});
