// SPDX-License-Identifier: MIT

import { command, message, or, runParser, text } from "@optique/core";
import { type Command, parseArguments, usageError } from "./options.ts";
import { printable } from "../../lib/printable.ts";
import { didYouMean } from "../../vm/host/did_you_mean.ts";
import { EXIT_STATUS, ExpectedError, throwIfInterrupted, UsageError } from "../../vm/host/errors.ts";
import { type CommandOutcome, writeOutcome } from "../run/command_outcome.ts";
import { onInterrupt } from "../run/on_interrupt.ts";
import { bisectStatusOf } from "../bisect/run_outcome.ts";
import { Terminal } from "../report/terminal.ts";

/** Commands by name, loaded when they are asked for: looking at an image needs none of what runs a guest. */
type Commands = Readonly<Record<string, () => Promise<Command>>>;

const COMMANDS: Commands = {
  run: async () => (await import("./commands/run.ts")).runCommand,
  list: async () => (await import("./commands/list.ts")).listCommand,
  predict: async () => (await import("./commands/predict.ts")).predictCommand,
  fuzz: async () => (await import("./commands/fuzz.ts")).fuzzCommand,
  faults: async () => (await import("./commands/faults.ts")).faultsCommand,
  mutants: async () => (await import("./commands/mutants.ts")).mutantsCommand,
  bench: async () => (await import("./commands/bench.ts")).benchCommand,
  coverage: async () => (await import("./commands/coverage.ts")).coverageCommand,
  nightly: async () => (await import("./commands/nightly.ts")).nightlyCommand,
  bisect: async () => (await import("./commands/bisect.ts")).bisectCommand,
  merge: async () => (await import("./commands/merge.ts")).mergeCommand,
  slurm: async () => (await import("./commands/slurm.ts")).slurmCommand,
  checkpoint: async () => (await import("./commands/checkpoint.ts")).checkpointCommand,
  restart: async () => (await import("./commands/restart.ts")).restartCommand,
  shell: async () => (await import("./commands/shell.ts")).shellCommand,
  gdb: async () => (await import("./commands/gdb.ts")).gdbCommandLine,
  replay: async () => (await import("./commands/replay.ts")).replayCommand,
  image: async () => (await import("./commands/image.ts")).imageCommand,
  report: async () => (await import("./commands/report.ts")).reportCommand,
  triage: async () => (await import("./commands/triage.ts")).triageCommand,
  kernel: async () => (await import("./commands/kernel.ts")).kernelCommand,
  "kernel-series": async () => (await import("./commands/kernel_series.ts")).kernelSeriesCommand,
  "kernel-lint": async () => (await import("./commands/kernel_lint.ts")).kernelLintCommand,
};

const HELP_OPTIONS = ["--help", "-h"] as const;
/** What is asked of ckptest itself, with or without a command. */
const ABOUT_ITSELF: ReadonlySet<string> = new Set([
  ...HELP_OPTIONS,
  ...["help", "version", "--version", "completion"],
]);

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
  const { name, args, program } = splitLine(line);
  try {
    const isAboutItself = args.some((arg) => /^(--help|-h|--version)$/.test(arg));
    if (name === undefined || ABOUT_ITSELF.has(name) || isAboutItself) {
      await explain(name === undefined ? ["help"] : [name, ...args], commands);
      return name === undefined ? EXIT_STATUS.usage : EXIT_STATUS.pass;
    }
    const { parser, takesProgram } = await loadCommand(name, commands);
    const words = takesProgram || program.length === 0 ? args : [...args, "--", ...program];
    const carryOut = parseArguments(parser, words);
    let interrupt: ReturnType<typeof onInterrupt> | undefined;
    using stack = new DisposableStack();
    const terminal = new Terminal();
    const done = await carryOut({
      ...{ args, program, terminal },
      get signal() {
        return (interrupt ??= stack.use(onInterrupt(terminal))).signal;
      },
    }).catch((error) => {
      // A guest that is ended with the command is not lost.
      if (error instanceof ExpectedError) throwIfInterrupted(interrupt?.signal);
      throw error;
    });
    if (typeof done === "object" && "programStatus" in done) return done.programStatus;
    return await endWith(line, typeof done === "number" ? { status: done } : done);
  } catch (error) {
    return await endWithError(error, line);
  }
}

/** Tells the user of an error that ends the command. */
export async function endWithError(error: unknown, line: readonly string[]): Promise<number> {
  const { name = "help", args } = splitLine(line);
  const { reportError } = await import("./report_error.ts");
  const { text, ...outcome } = await reportError(error, { name, args });
  try {
    if (text !== undefined) console.error(printable(text));
  } catch {
    // Standard error cannot be written to: there is nobody to be told.
  }
  return await endWith(line, outcome);
}

/** Tells the parent process, and gives the exit status. */
async function endWith(line: readonly string[], outcome: CommandOutcome): Promise<number> {
  const { outcomePath, args } = splitLine(line);
  if (outcomePath !== undefined) await writeOutcome(outcomePath, outcome);
  return args.includes("--bisect-status") ? bisectStatusOf(outcome.status) : outcome.status;
}

/** `program` is what is behind `--`. */
function splitLine(line: readonly string[]) {
  const [outcomePath, [name, ...rest]] = line[0] === "--outcome"
    ? [line[1], line.slice(2)]
    : [undefined, line];
  const end = rest.indexOf("--");
  const args = end < 0 ? rest : rest.slice(0, end);
  return { outcomePath, name, args, program: end < 0 ? [] : rest.slice(end + 1) };
}

async function loadCommand(name: string, commands: Commands): Promise<Command> {
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load) return await load();
  const names = Object.keys(commands);
  throw new UsageError(`no command "${name}"${didYouMean(name, names) || `: one of ${names.join(", ")}`}`);
}

/** Prints help, the version, or what a shell needs to complete command lines. */
async function explain(line: readonly string[], commands: Commands): Promise<void> {
  const named = line.find((word) => !word.startsWith("-") && !ABOUT_ITSELF.has(word));
  if (named !== undefined && !/completion$/.test(line[0]!)) await loadCommand(named, commands);
  const all = await Promise.all(
    Object.entries(commands).map(async ([name, load]) => {
      const { about, parser, takesProgram } = await load();
      const brief = message`${text(about)}`;
      return command(name, parser, {
        brief,
        usageLine: (usage) =>
          takesProgram ? [...usage, { type: "literal", value: "-- PROGRAM ARGS..." }] : usage,
      });
    }),
  );
  const config = await Deno.readTextFile(new URL("../../deno.json", import.meta.url));
  runParser(or(...all), "ckptest", line, {
    help: { command: true, option: { names: HELP_OPTIONS } },
    version: { value: JSON.parse(config).version, command: true, option: true },
    completion: { command: true },
    brief:
      message`build a kernel with the checkpoint patch, boot it, checkpoint a process, validate the image`,
    footer:
      message`exit status: 0 pass, 1 a test failed, 2 usage, 3 build failed, 4 guest lost, 5 nothing ran,
      70 an error of ckptest itself, 130 interrupted`,
    usageLine: [{ type: "command", name: "COMMAND" }, { type: "ellipsis" }],
    ...{ termWidth: "auto", maxWidth: 100, showChoices: true, stderr: () => {} },
    onError: (_, error) => {
      throw usageError(error);
    },
  });
}
