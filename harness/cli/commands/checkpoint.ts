// SPDX-License-Identifier: MIT

import { basename, dirname, resolve } from "@std/path";
import { findingText } from "../../../lib/image/finding.ts";
import { findTool } from "../../../vm/host/find_tool.ts";
import { findProgram } from "../../../vm/initramfs/program_closure.ts";
import { EXIT_STATUS, ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { formatBytes, formatCount, formatDuration } from "../../run/quantity.ts";
import { type Command, defineCommand, existing, kindOf, TIME, value, values } from "../options.ts";
import { ONE_KERNEL_OPTIONS, oneKernelRequest, onePlatformOption } from "../shared_options.ts";
import { prepareGuest } from "../../run/guest/prepare_guest.ts";
import { mountHostFiles } from "../../run/guest/host_files.ts";
import { explainRefusal, ProgramEndedError, runProgram } from "../../run/case/run_program.ts";
import { guestKernel } from "../../run/case/scenario_runner.ts";
import type { Terminal } from "../../report/terminal.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";

const EM_386 = 3;
const EM_X86_64 = 62;

/** Java reserves a quarter of it for its heap. */
const MEMORY_MIB = 1024;
/** Where the guest has what the program is to read: no path of the host. */
const INPUT_PATH = "/run/ckptest.input";
/** Seconds after which a program is stopped that never waits. */
const DEFAULT_AFTER = 10;

const PLACE = existing(
  "FILE",
  "a file in a directory that is there",
  (path) => Deno.statSync(dirname(path)).isDirectory,
);
const INPUT = existing("FILE", "a file that is there", (path) => !Deno.statSync(path).isDirectory);
const VARIABLE = kindOf({
  ...{ metavar: "NAME=VALUE", what: "NAME=VALUE" },
  parse: (text) => /^([^=]+)=(.*)$/s.exec(text)?.slice(1) as [name: string, value: string] | undefined,
});

/** `checkpoint`: a program of the host, run and checkpointed in the guest. */
export const checkpointCommand: Command = defineCommand({
  out: value(PLACE, "where the image goes; PROGRAM.ckpt in this directory by default"),
  arch: value("NAME", "the kernel; x86_64 by default"),
  after: value(TIME, `stop a program that never waits after that; ${DEFAULT_AFTER}s by default`),
  stdin: value(INPUT, "what the program's standard input begins with; more never comes, nor an end"),
  env: values(VARIABLE, "a variable of its environment, beside PATH and HOME"),
  ...ONE_KERNEL_OPTIONS,
}, {
  about: "run a program of this host in the guest until it waits, checkpoint it, check the image",
  takesProgram: true,
  async run(options, { program: [name, ...programArgs], terminal, signal }) {
    const { out: wanted, arch, after = DEFAULT_AFTER, stdin } = options;
    if (name === undefined) throw new UsageError("no program: name it after --");
    const found = name.includes("/") ? name : await findTool(name);
    if (found === undefined) throw new ExpectedError(`no program "${name}" in PATH`);
    const path = resolve(found);
    const platform = onePlatformOption(arch);
    await findProgram(path, { machines: platform.kernel === "x86_64" ? [EM_X86_64, EM_386] : [EM_386] });
    const input = stdin === undefined ? undefined : await Deno.readFile(stdin);
    const own = ["PATH", "HOME"].flatMap((name): [string, string][] => {
      const set = Deno.env.get(name);
      return set === undefined ? [] : [[name, set]];
    });
    const env = Object.fromEntries([...own, ...options.env]);
    const prepared = await prepareGuest(platform, {
      memoryMiB: MEMORY_MIB,
      ...oneKernelRequest(options),
      ...{ terminal, signal, hostFiles: true },
    });
    for (const note of prepared.notes) terminal.note(note);
    terminal.status("booting the guest");
    await using guest = await prepared.startGuest();
    terminal.status(`running ${name}`);
    const { agent } = guest;
    const { stops: [stop], seen, output, isQuiet } = await runProgram(guest, {
      argv: [path, ...programArgs],
      env,
    }, {
      kernel: await guestKernel(guest, prepared),
      limitMs: 1000 * after,
      directory: Deno.cwd(),
      ...input && { input: INPUT_PATH },
      prepare: async () => {
        await mountHostFiles(agent, await pathsOf([path, Deno.cwd(), ...programArgs]));
        if (input) await agent.writeFile(INPUT_PATH, input);
      },
    }).catch((error) => {
      if (error instanceof RangeError && error.message.startsWith("command exec:")) {
        throw new UsageError(`the program's words and its environment are too long: ${error.message}`);
      }
      if (!(error instanceof ProgramEndedError)) throw error;
      showOutput(terminal, error.output);
      throw new UsageError(error.sentence);
    });
    showOutput(terminal, await output());
    const program = basename(name);
    if (!isQuiet) terminal.result(`${program} never waited, and was stopped after ${formatDuration(after)}`);
    const refusal = explainRefusal(program, seen);
    if (refusal !== undefined) {
      terminal.result(refusal);
      return EXIT_STATUS.testFailed;
    }
    const { image, findings, pages, counts } = stop!;
    const out = wanted ?? `${program}.ckpt`;
    await writeWhole(out, image);
    for (const finding of findings) terminal.result(findingText(finding));
    const bytes = (["predicted", "observed", "volatile", "unexplained"] as const)
      .map((how, i) => `${formatCount(counts[how])} ${i === 0 ? "bytes " : ""}${how}`).join(", ");
    terminal.result(`${out}: ${formatBytes(image.length)}, ${pages} pages; ${bytes}`);
    return findings.length === 0 ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
  },
});

function showOutput(terminal: Terminal, output: string): void {
  terminal.clearStatus();
  for (const line of output === "" ? [] : output.trimEnd().split("\n")) terminal.result(`  | ${line}`);
}

/** Of some words those that are paths, and what symbolic links stand for. */
async function pathsOf(words: readonly string[]): Promise<string[]> {
  const paths = await Promise.all(words.map(async (word) => {
    const real = await Deno.realPath(word).catch(() => undefined);
    return real === undefined ? [] : [resolve(word), real];
  }));
  return [...new Set(paths.flat())];
}
