// SPDX-License-Identifier: MIT

import type { CommandFinding } from "../../run/command_outcome.ts";
import { didYouMean } from "../../../vm/host/did_you_mean.ts";
import { EXIT_STATUS, throwIfInterrupted, UsageError } from "../../../vm/host/errors.ts";
import { fuzzLdt } from "../../fuzz/fuzz_ldt_platform.ts";
import { fuzzCommandLine, type FuzzSettings, stoppedLines } from "../../fuzz/fuzz_settings.ts";
import { runFuzz } from "../../fuzz/run_fuzz.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  kernelSourceOption,
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
import type { Terminal } from "../../report/terminal.ts";

const DEFAULT_COUNT = 1000;
const DEFAULT_LDT_COUNT = 10_000;
const MAX = 0x7fff_ffff;
const MAX_FINDINGS = 8;
/** Without those that only calls of other tasks have a use for. */
const { self: _, ...USER_KERNEL } = USER_KERNEL_OPTIONS;
const OPTIONS = {
  ldt: flag("judge the LDT model against the kernel by sequences of modify_ldt calls, without images"),
  tracers: flag("at stops in between, let tracers, debuggers and the freezer do something to the program"),
  seed: value(wholeNumber(0, MAX), "the programs to draw; by the clock when not given, and printed"),
  count: value(wholeNumber(1, MAX), `programs; ${DEFAULT_COUNT} by default, with --ldt ${DEFAULT_LDT_COUNT}`),
  skip: value(wholeNumber(0, MAX), "draw the first N programs and do not run them, as after an interruption"),
  ...ARCH_OPTION,
  mutant: value("NAME", "on the kernel with that mutant of fixtures/mutants"),
  ...USER_KERNEL,
  ...SOURCE_OPTIONS,
  ...ACCELERATOR_OPTION,
};

/** `fuzz`: random programs of steps. */
export const fuzzCommand: Command = defineCommand(OPTIONS, {
  about: "draw random programs, compare each image with the prediction, make a failing program small",
  async run(options, { terminal, signal }) {
    const settings = fuzzSettings(options);
    const { arch, series, accel, mutant } = options;
    const plans = await planGuests(parsePlatforms({ arch, series, fallback: "x86_64" }), {
      ...userKernelOptions(options),
      ...{ terminal, signal, accelerator: accel, source: kernelSourceOption(options) },
      ...await withMutantLive(mutant),
    });
    const failures: CommandFinding[][] = [];
    for (const plan of plans) {
      throwIfInterrupted(signal);
      const prepared = await preparePlanned(plan);
      const findings = settings.ldt
        ? await fuzzLdt(prepared, terminal, settings)
        : await fuzzPlatform(prepared, terminal, settings);
      if (findings) failures.push(findings);
    }
    throwIfInterrupted(signal);
    const status = failures.length > 0 ? EXIT_STATUS.testFailed : EXIT_STATUS.pass;
    return { status, findings: failures.flat() };
  },
});

function fuzzSettings(options: OptionValues<typeof OPTIONS>): FuzzSettings {
  const { ldt, tracers, seed = Date.now() % MAX, skip = 0 } = options;
  if (ldt && tracers) throw new UsageError("--tracers has no meaning with --ldt");
  const { count = ldt ? DEFAULT_LDT_COUNT : DEFAULT_COUNT } = options;
  const { seed: _seed, count: _count, skip: _skip, arch: _arch, ...others } = OPTIONS;
  return { ldt, tracers, seed, count, skip, others: optionArgs(options, others) };
}

/** What a failing program shows; undefined when all passed. */
async function fuzzPlatform(
  prepared: PreparedGuest,
  terminal: Terminal,
  settings: FuzzSettings,
): Promise<CommandFinding[] | undefined> {
  const { platform: { name }, kernelName, notes } = prepared;
  const { seed, count } = settings;
  terminal.result(`# ${name}: ${[kernelName, ...notes].join("; ")}, seed ${seed}, ${count} programs`);
  const result = await runFuzz(prepared, {
    ...settings,
    onProgress: (done) => terminal.status(`${name}: program ${done} of ${count}`, `${name}: running`),
  });
  terminal.clearStatus();
  if (result.stopped) {
    for (const line of stoppedLines(name, settings, result.programs)) terminal.result(line);
    return undefined;
  }
  if (!result.failure) {
    const rate = Math.round((result.programs - settings.skip) / (result.milliseconds / 60_000));
    terminal.result(`ok    ${name}: ${result.programs} programs passed, ${rate} programs a minute`);
    return undefined;
  }
  const { scenario, findings } = result.failure;
  terminal.result(`FAIL  ${name}: program ${result.programs}, made small in ${result.shrinks} steps:`);
  const { name: _name, ...text } = scenario;
  terminal.result(JSON.stringify(text, null, 2));
  for (const { text } of findings.slice(0, MAX_FINDINGS)) terminal.result(`      ${text}`);
  if (findings.length === 0) {
    terminal.result("      run alone in a fresh guest it passes: the failure depends on what ran before");
  }
  terminal.result(
    `      save the scenario as fixtures/scenarios/NAME.json, then: deno task test:qemu --filter NAME`,
  );
  terminal.result(`      reproduce: ${fuzzCommandLine(name, settings)}`);
  return [...findings];
}

/** What a guest with a mutant live in its kernel needs. */
async function withMutantLive(name: string | undefined): Promise<Pick<GuestRequest, "moreFiles" | "append">> {
  if (name === undefined) return {};
  const all = await readMutants();
  const mutant = all.find((one) => one.name === name);
  if (!mutant) {
    const names = all.map(({ name }) => name);
    throw new UsageError(`option --mutant: no mutant is called "${name}"${didYouMean(name, names)}`);
  }
  // One that is known to survive is not among them: random programs may find it.
  const mutants = [...new Set([...mutantsFor(mutant.platform, all), mutant])];
  return { ...await mutantRequest(mutants), append: [`${MUTANT_PARAMETER}=${mutants.indexOf(mutant) + 1}`] };
}
