// SPDX-License-Identifier: MIT

import { checkpointCommand } from "./commands/checkpoint.ts";
import { fuzzCommand } from "./commands/fuzz.ts";
import { imageCommand } from "./commands/image.ts";
import { kernelCommand } from "./commands/kernel.ts";
import { listCommand } from "./commands/list.ts";
import { predictCommand } from "./commands/predict.ts";
import { runCommand } from "./commands/run.ts";
import type { Command } from "./command.ts";
import { EXIT_STATUS, type ExitStatus } from "./exit_status.ts";
import { explainError } from "./explain_error.ts";

const COMMANDS: Readonly<Record<string, Command>> = {
  run: runCommand,
  list: listCommand,
  predict: predictCommand,
  fuzz: fuzzCommand,
  checkpoint: checkpointCommand,
  image: imageCommand,
  kernel: kernelCommand,
};

/**
 * Carries out a command line and returns the exit status; errors that a user can mend are shown without a
 * trace.
 */
export async function runCommandLine(args: readonly string[]): Promise<ExitStatus> {
  const [name, ...rest] = args;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    console.log(helpText());
    return name === undefined ? EXIT_STATUS.usage : EXIT_STATUS.pass;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    console.error(`ckptest: no command "${name}": one of ${Object.keys(COMMANDS).join(", ")}`);
    return EXIT_STATUS.usage;
  }
  if (rest[0] === "--help" || rest[0] === "-h") {
    console.log(commandHelp(command));
    return EXIT_STATUS.pass;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    return report(error, name, command);
  }
}

function report(error: unknown, name: string, command: Command): ExitStatus {
  const explanation = explainError(error);
  if (!explanation) throw error;
  const usage = explanation.showUsage ? `\nusage: ckptest ${command.usage[0]}` : "";
  console.error(`ckptest ${name}: ${explanation.text}${usage}`);
  return explanation.status;
}

function helpText(): string {
  const lines = Object.values(COMMANDS).map(({ usage: [synopsis, purpose] }) =>
    `  ${synopsis}\n      ${purpose}`
  );
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

function commandHelp({ usage: [synopsis, purpose], options = [] }: Command): string {
  return [
    `usage: ckptest ${synopsis}`,
    "",
    purpose,
    ...(options.length ? ["", ...options.map((o) => `  ${o}`)] : []),
  ]
    .join("\n");
}
