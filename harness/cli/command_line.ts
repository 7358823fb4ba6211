// SPDX-License-Identifier: MIT

import type { Command } from "./command.ts";
import { optionsHelp, parseOptions } from "./parse_options.ts";
import { EXIT_STATUS, type ExitStatus } from "../../vm/host/errors.ts";
import { bisectStatusOf } from "../bisect/bisect_status.ts";

/** Loads a command when it is asked for: looking at an image needs none of what runs a guest. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
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
 * Carries out a command line and returns the exit status; errors that a user can mend are shown without a
 * trace. With `--bisect-status` among the arguments it is one for `git bisect run`, whatever happens.
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    console.log(await helpText());
    return name === undefined ? EXIT_STATUS.usage : EXIT_STATUS.pass;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!load) {
    console.error(`ckptest: no command "${name}": one of ${Object.keys(COMMANDS).join(", ")}`);
    return EXIT_STATUS.usage;
  }
  const command = await load();
  if (rest[0] === "--help" || rest[0] === "-h") {
    console.log(commandHelp(command));
    return EXIT_STATUS.pass;
  }
  if (!rest.includes("--bisect-status")) return await runReported(name, command, rest);
  const status = await runReported(name, command, rest).catch((error) => {
    console.error(error);
    return undefined;
  });
  return bisectStatusOf(status);
}

async function runReported(name: string, command: Command, args: readonly string[]): Promise<ExitStatus> {
  try {
    return await command.run(parseOptions(args, command));
  } catch (error) {
    return await report(error, name, command);
  }
}

async function report(error: unknown, name: string, command: Command): Promise<ExitStatus> {
  const { explainError } = await import("./explain_error.ts");
  const explanation = explainError(error);
  if (!explanation) throw error;
  const usage = explanation.showUsage ? `\nusage: ckptest ${command.usage[0]}` : "";
  console.error(`ckptest ${name}: ${explanation.text}${usage}`);
  return explanation.status;
}

async function helpText(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const lines = commands.map(({ usage: [synopsis, purpose] }) => `  ${synopsis}\n      ${purpose}`);
  return [
    "ckptest: build a kernel with the checkpoint patch, boot it, checkpoint a process, validate the image",
    "",
    "usage: deno task ckptest COMMAND ...",
    "",
    ...lines,
    "",
    "exit status: 0 pass, 1 a test failed, 2 usage, 3 build failed, 4 guest lost, 5 nothing ran",
  ].join("\n");
}

function commandHelp(command: Command): string {
  const [synopsis, purpose] = command.usage;
  const options = optionsHelp(command).map((line) => `  ${line}`);
  return [`usage: ckptest ${synopsis}`, "", purpose, ...options.length ? ["", ...options] : []].join("\n");
}
