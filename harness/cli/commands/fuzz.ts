// SPDX-License-Identifier: MIT

import type { Command } from "../command.ts";
import type { CommandFinding } from "../command_outcome.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { fuzzLdt } from "../../fuzz/fuzz_ldt_platform.ts";
import { runFuzz } from "../../fuzz/run_fuzz.ts";
import {
  ACCELERATOR_OPTION,
  ARCH_OPTION,
  kernelSourceOption,
  platformsOption,
  SOURCE_OPTIONS,
} from "../shared_options.ts";
import { USER_KERNEL_OPTIONS, userKernelOptions } from "../user_kernel_option.ts";
import type { Platform } from "../../run/platform.ts";
import type { ParsedOptions } from "../parse_options.ts";
import { readPlantedErrors } from "../../mutants.ts";
import { prepareGuest } from "../../run/guest/prepare_guest.ts";
import { Terminal } from "../../report/terminal.ts";

const DEFAULT_COUNT = 1000;
const DEFAULT_LDT_COUNT = 10_000;
const MAX = 0x7fff_ffff;
/** Without those that only calls of other tasks have a use for. */
const { self: _, ...USER_KERNEL } = USER_KERNEL_OPTIONS;

/** `fuzz`: random programs of steps. */
export const fuzzCommand: Command = {
  usage: [
    "fuzz [--ldt] [--tracers] [--seed N] [--count N] [--arch LIST] [--series LIST] [--plant NAME]",
    "draw random programs of steps, compare each image with the prediction, make a failing program small",
  ],
  options: {
    ldt: { help: "judge the LDT model against the kernel by sequences of modify_ldt calls, without images" },
    tracers: {
      help: "at stops in between, let tracers, debuggers and the freezer do something to the program",
    },
    seed: { value: "N", help: "the programs to draw; by the clock when not given, and printed" },
    count: {
      value: "N",
      help: `how many programs, ${DEFAULT_COUNT} by default; ${DEFAULT_LDT_COUNT} with --ldt`,
    },
    ...ARCH_OPTION,
    plant: { value: "NAME", help: "plant that error of fixtures/mutants.json in the kernel first" },
    ...USER_KERNEL,
    ...SOURCE_OPTIONS,
    ...ACCELERATOR_OPTION,
  },
  async run(options) {
    const failures: CommandFinding[][] = [];
    for (const platform of platformsOption(options, { fallback: "x86_64" })) {
      const findings = await fuzzPlatform(platform, options);
      if (findings) failures.push(findings);
    }
    const status = failures.length > 0 ? EXIT_STATUS.testFailed : EXIT_STATUS.pass;
    return { status, findings: failures.flat() };
  },
};

/** What a failing program shows; undefined when all passed. */
async function fuzzPlatform(
  platform: Platform,
  options: ParsedOptions,
): Promise<CommandFinding[] | undefined> {
  const terminal = new Terminal();
  const seed = options.number("seed", { min: 0, max: MAX }) ?? Date.now() % MAX;
  const ldt = options.flag("ldt");
  if (ldt && options.flag("tracers")) throw new UsageError("--tracers has no meaning with --ldt");
  const user = userKernelOptions(options);
  if (user.self && options.flag("tracers")) {
    throw new UsageError("--tracers needs other tasks than --self has");
  }
  const count = options.number("count", { min: 1, max: MAX }) ?? (ldt ? DEFAULT_LDT_COUNT : DEFAULT_COUNT);
  const prepared = await prepareGuest(platform, {
    terminal,
    accelerator: options.string("accel"),
    ...user,
    source: kernelSourceOption(options),
    mutate: await plantedEdits(options.string("plant")),
  });
  if (ldt) return await fuzzLdt(prepared, { terminal, seed, count }) ? undefined : [];
  const kernel = [prepared.kernelName, ...prepared.notes].join("; ");
  terminal.result(`# ${platform.name}: ${kernel}, seed ${seed}, ${count} programs`);
  const result = await runFuzz(prepared, {
    seed,
    count,
    tracers: options.flag("tracers"),
    onProgress: (done) =>
      terminal.status(`${platform.name}: program ${done} of ${count}`, `${platform.name}: running`),
  });
  terminal.clearStatus();
  const rate = Math.round(result.programs / (result.milliseconds / 60_000));
  if (!result.failure) {
    terminal.result(`ok    ${platform.name}: ${result.programs} programs passed, ${rate} programs a minute`);
    return undefined;
  }
  const { scenario, findings } = result.failure;
  terminal.result(
    `FAIL  ${platform.name}: program ${result.programs}, made small in ${result.shrinks} steps:`,
  );
  const { name: _name, ...text } = scenario;
  terminal.result(JSON.stringify(text, null, 2));
  for (const { text } of findings.slice(0, 8)) terminal.result(`      ${text}`);
  if (findings.length === 0) {
    terminal.result("      run alone in a fresh guest it passes: the failure depends on what ran before");
  }
  terminal.result(
    `      save the scenario as fixtures/scenarios/NAME.json, then: deno task test:qemu --filter NAME`,
  );
  terminal.result(
    `      reproduce: deno task ckptest fuzz --arch ${platform.name} --seed ${seed} --count ${count}` +
      (options.flag("tracers") ? " --tracers" : ""),
  );
  return [...findings];
}

async function plantedEdits(name: string | undefined) {
  if (name === undefined) return [];
  const all = await readPlantedErrors();
  const found = all.find((planted) => planted.name === name);
  if (!found) {
    throw new UsageError(
      `--plant takes one of ${all.map((planted) => planted.name).join(", ")}: found "${name}"`,
    );
  }
  return found.edits;
}
