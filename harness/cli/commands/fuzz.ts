// SPDX-License-Identifier: MIT

import type { CommandFinding } from "../../run/command_outcome.ts";
import { didYouMean } from "../../../vm/host/did_you_mean.ts";
import { EXIT_STATUS, type ExitStatus, throwIfInterrupted, UsageError } from "../../../vm/host/errors.ts";
import { fuzzLdtPlatform } from "../../fuzz/run_ldt_fuzz.ts";
import { fuzzReport, type FuzzSettings, ldtFuzzReport } from "../../fuzz/fuzz_report.ts";
import { runFuzz } from "../../fuzz/run_fuzz.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  kernelSourceOption,
  QUIET_OPTION,
  SOURCE_OPTIONS,
  USER_KERNEL_OPTIONS,
  userKernelOptions,
} from "../shared_options.ts";
import {
  type Command,
  defineCommand,
  flag,
  optionArgs,
  type OptionValues,
  value,
  wholeNumber,
} from "../options.ts";
import { readMutants } from "../../mutants/mutant.ts";
import { MUTANT_PARAMETER } from "../../mutants/mutant_kernel.ts";
import { mutantRequest, mutantsFor } from "../../mutants/run_mutants.ts";
import { type GuestRequest, planGuests } from "../../run/guest/plan_guest.ts";
import { type PreparedGuest, preparePlanned } from "../../run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../run/platform.ts";

const DEFAULT_COUNT = 1000;
const DEFAULT_LDT_COUNT = 10_000;
const MAX = 0x7fff_ffff;
/** Without those that only calls of other tasks have a use for. */
const { self: _, ...USER_KERNEL } = USER_KERNEL_OPTIONS;
const OPTIONS = {
  ldt: flag("judge the LDT model against the kernel by sequences of modify_ldt calls, without images"),
  tracers: flag("at stops in between, let tracers, debuggers and the freezer do something to the program"),
  restart: flag("at stops in between, go on in other processes, restarted from the program's image"),
  seed: value(wholeNumber(0, MAX), "the programs to draw; by the clock when not given, and printed"),
  count: value(wholeNumber(1, MAX), `programs; ${DEFAULT_COUNT} by default, with --ldt ${DEFAULT_LDT_COUNT}`),
  skip: value(wholeNumber(0, MAX), "draw the first N programs and do not run them, as after an interruption"),
  ...ARCH_OPTION,
  mutant: value("NAME", "on the kernel with that mutant of fixtures/mutants"),
  ...USER_KERNEL,
  ...SOURCE_OPTIONS,
  ...ACCELERATOR_OPTION,
  ...QUIET_OPTION,
};

/** `fuzz`: random programs of steps. */
export const fuzzCommand: Command = defineCommand(OPTIONS, {
  about: "draw random programs, compare each image with the prediction, make a failing program small",
  async run(options, { terminal, signal }) {
    const settings = fuzzSettings(options);
    const { arch, series, accel, mutant, quiet } = options;
    const plans = await planGuests(parsePlatforms({ arch, series, fallback: "x86_64" }), {
      ...userKernelOptions(options),
      ...{ terminal, signal, accelerator: accel, source: kernelSourceOption(options) },
      ...await withMutantLive(mutant),
    });
    const { seed, count, ldt } = settings;
    const what = ldt ? "LDT sequence" : "program";
    const findings: CommandFinding[] = [];
    let status: ExitStatus = EXIT_STATUS.pass;
    for (const plan of plans) {
      throwIfInterrupted(signal);
      const prepared = await preparePlanned(plan);
      const { platform: { name }, kernelName, notes } = prepared;
      const heading = `# ${name}: ${[kernelName, ...notes].join("; ")}, seed ${seed}, ${count} ${what}s`;
      if (!quiet) terminal.result(heading);
      const onProgress = (done: number): void =>
        terminal.status(`${name}: ${what} ${done} of ${count}`, `${name}: running`);
      const how = { ...settings, onProgress };
      const [lines, failure] = ldt ? await drawSequences(prepared, how) : await drawPrograms(prepared, how);
      terminal.clearStatus();
      lines.forEach((line) => terminal.result(line));
      if (failure) status = EXIT_STATUS.testFailed;
      findings.push(...failure ?? []);
    }
    throwIfInterrupted(signal);
    return { status, findings };
  },
});

type Settings = FuzzSettings & { readonly onProgress: (done: number) => void };

/** @returns what is printed, and what a failing program shows; undefined when all passed */
async function drawPrograms(prepared: PreparedGuest, settings: Settings) {
  const result = await runFuzz(prepared, settings);
  return [fuzzReport(result, prepared.platform.name, settings), result.failure?.findings] as const;
}

/** The same of sequences of modify_ldt, which have no findings. */
async function drawSequences(prepared: PreparedGuest, settings: Settings) {
  const result = await fuzzLdtPlatform(prepared, settings);
  return [ldtFuzzReport(result, prepared.platform.name, settings), result.failure && []] as const;
}

function fuzzSettings(options: OptionValues<typeof OPTIONS>): FuzzSettings {
  const { ldt, tracers, restart, seed = Date.now() % MAX, skip = 0 } = options;
  if (ldt && tracers) throw new UsageError("--tracers has no meaning with --ldt");
  if (ldt && restart) throw new UsageError("--restart has no meaning with --ldt");
  const { count = ldt ? DEFAULT_LDT_COUNT : DEFAULT_COUNT } = options;
  const { seed: _seed, count: _count, skip: _skip, arch: _arch, ...others } = OPTIONS;
  return { ldt, tracers, restart, seed, count, skip, others: optionArgs(options, others) };
}

async function withMutantLive(name: string | undefined): Promise<Pick<GuestRequest, "moreFiles" | "append">> {
  if (name === undefined) return {};
  const all = await readMutants();
  const mutant = all.find((one) => one.name === name);
  if (!mutant) {
    const names = all.map(({ name }) => name);
    throw new UsageError(`option --mutant: no mutant is called "${name}"${didYouMean(name, names)}`);
  }
  // One that is known to survive is not among them: random programs may find it.
  const mutants = [...new Set([...await mutantsFor(mutant.platform, all), mutant])];
  return { ...await mutantRequest(mutants), append: [`${MUTANT_PARAMETER}=${mutants.indexOf(mutant) + 1}`] };
}
