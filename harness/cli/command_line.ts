// SPDX-License-Identifier: MIT

import type { Command } from "./command.ts";
import { optionsHelp, parseOptions } from "./parse_options.ts";
import { EXIT_STATUS, UsageError } from "../../vm/host/errors.ts";
import { type CommandOutcome, writeOutcome } from "../run/command_outcome.ts";
import { bisectStatusOf } from "../bisect/bisect_status.ts";

/** Commands by name, loaded when they are asked for: looking at an image needs none of what runs a guest. */
type Commands = Readonly<Record<string, () => Promise<Command>>>;

const COMMANDS: Commands = {
  run: async () => (await import("./commands/run.ts")).runCommand,
  list: async () => (await import("./commands/list.ts")).listCommand,
  predict: async () => (await import("./commands/predict.ts")).predictCommand,
  fuzz: async () => (await import("./commands/fuzz.ts")).fuzzCommand,
  faults: async () => (await import("./commands/faults.ts")).faultsCommand,
  bench: async () => (await import("./commands/bench.ts")).benchCommand,
  coverage: async () => (await import("./commands/coverage.ts")).coverageCommand,
  nightly: async () => (await import("./commands/nightly.ts")).nightlyCommand,
  bisect: async () => (await import("./commands/bisect.ts")).bisectCommand,
  merge: async () => (await import("./commands/merge.ts")).mergeCommand,
  slurm: async () => (await import("./commands/slurm.ts")).slurmCommand,
  checkpoint: async () => (await import("./commands/checkpoint.ts")).checkpointCommand,
  image: async () => (await import("./commands/image.ts")).imageCommand,
  report: async () => (await import("./commands/report.ts")).reportCommand,
  kernel: async () => (await import("./commands/kernel.ts")).kernelCommand,
  "kernel-series": async () => (await import("./commands/kernel_series.ts")).kernelSeriesCommand,
  "kernel-lint": async () => (await import("./commands/kernel_lint.ts")).kernelLintCommand,
};

/**
 * Carries out a command line and returns the exit status; no error gets out of it.
 *
 * - `--outcome FILE` before the command writes what it comes to for the process that started it.
 * - With `--bisect-status` behind it the status is one for `git bisect run`, whatever happens.
 */
export async function runCommandLine(
  line: readonly string[],
  commands: Commands = COMMANDS,
): Promise<number> {
  const { name, args } = splitLine(line);
  try {
    if (name === undefined || name === "help" || name === "--help" || name === "-h") {
      console.log(await helpText(commands));
      return name === undefined ? EXIT_STATUS.usage : EXIT_STATUS.pass;
    }
    const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (!load) {
      console.error(`ckptest: no command "${name}": one of ${Object.keys(commands).join(", ")}`);
      return EXIT_STATUS.usage;
    }
    const command = await load();
    if (args[0] === "--help" || args[0] === "-h") {
      console.log(commandHelp(command));
      return EXIT_STATUS.pass;
    }
    const done = await command.run(parseOptions(args, command));
    return await endWith(line, typeof done === "number" ? { status: done } : done);
  } catch (error) {
    return await endWithError(error, line, commands);
  }
}

/** Tells the user of an error that ends the command. */
export async function endWithError(
  error: unknown,
  line: readonly string[],
  commands: Commands = COMMANDS,
): Promise<number> {
  const { name = "help", args } = splitLine(line);
  const { reportError } = await import("./report_error.ts");
  const synopsis = error instanceof UsageError ? (await commands[name]?.())?.usage[0] ?? "" : "";
  const { status, text, problem } = await reportError(error, { name, args, synopsis });
  if (text !== undefined) console.error(text);
  return await endWith(line, { status, problem });
}

/** Tells the parent process, and gives the exit status. */
async function endWith(line: readonly string[], outcome: CommandOutcome): Promise<number> {
  const { outcomePath, args } = splitLine(line);
  if (outcomePath !== undefined) await writeOutcome(outcomePath, outcome);
  return args.includes("--bisect-status") ? bisectStatusOf(outcome.status) : outcome.status;
}

function splitLine(
  line: readonly string[],
): { outcomePath: string | undefined; name: string | undefined; args: readonly string[] } {
  const [outcomePath, [name, ...args]] = line[0] === "--outcome"
    ? [line[1], line.slice(2)]
    : [undefined, line];
  return { outcomePath, name, args };
}

async function helpText(commands: Commands): Promise<string> {
  const all = await Promise.all(Object.values(commands).map((load) => load()));
  const lines = all.map(({ usage: [synopsis, purpose] }) => `  ${synopsis}\n      ${purpose}`);
  return [
    "ckptest: build a kernel with the checkpoint patch, boot it, checkpoint a process, validate the image",
    "",
    "usage: deno task ckptest COMMAND ...",
    "",
    ...lines,
    "",
    "exit status: 0 pass, 1 a test failed, 2 usage, 3 build failed, 4 guest lost, 5 nothing ran,",
    "  70 an error of ckptest itself, 130 interrupted",
  ].join("\n");
}

function commandHelp(command: Command): string {
  const [synopsis, purpose] = command.usage;
  const options = optionsHelp(command).map((line) => `  ${line}`);
  return [`usage: ckptest ${synopsis}`, "", purpose, ...options.length ? ["", ...options] : []].join("\n");
}
