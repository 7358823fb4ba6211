// SPDX-License-Identifier: MIT

import { resolve } from "@std/path";
import { findingText } from "../../../lib/image/finding.ts";
import { findTool } from "../../../vm/host/find_tool.ts";
import { programClosure } from "../../../vm/initramfs/program_closure.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { formatBytes, formatCount } from "../../run/quantity.ts";
import { ACCELERATOR_OPTION, onePlatformOption } from "../shared_options.ts";
import { prepareGuest } from "../../run/guest/prepare_guest.ts";
import { onInterrupt } from "../../run/on_interrupt.ts";
import { guestKernel } from "../../run/case/scenario_runner.ts";
import { runProgram } from "../../run/case/run_program.ts";
import { Terminal } from "../../report/terminal.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";

const EM_386 = 3;
const EM_X86_64 = 62;

/** `checkpoint`: a program of the host, run and checkpointed in the guest. */
export const checkpointCommand: Command = {
  usage: [
    "checkpoint [--out FILE] [--arch NAME] -- PROGRAM ARGS...",
    "run a program of this host in the guest until it waits, stop it, checkpoint it, pull the image out, check it",
  ],
  options: {
    out: ["FILE", "where the image goes; PROGRAM.ckpt in this directory by default"],
    arch: ["NAME", "the kernel; x86_64 by default"],
    ...ACCELERATOR_OPTION,
  },
  rest: true,
  async run(options) {
    const [name, ...programArgs] = options.rest;
    if (name === undefined) throw new UsageError("no program: name it after --");
    const found = name.includes("/") ? name : await findTool(name);
    if (found === undefined) throw new ExpectedError(`no program "${name}" in PATH`);
    const path = resolve(found);
    const platform = onePlatformOption(options);
    const machines = platform.kernel === "x86_64" ? [EM_X86_64, EM_386] : [EM_386];
    const files = await programClosure(path, { machines });
    const terminal = new Terminal();
    using interrupt = onInterrupt(terminal);
    const prepared = await prepareGuest(platform, {
      terminal,
      signal: interrupt.signal,
      accelerator: options.string("accel"),
      files,
    });
    terminal.status("booting the guest");
    await using guest = await prepared.startGuest();
    terminal.status(`running ${name}`);
    const kernel = await guestKernel(guest, prepared);
    const outcome = await runProgram(guest, { argv: [path, ...programArgs] }, { kernel });
    terminal.clearStatus();
    const stop = outcome.stops[0]!;
    const out = options.string("out") ?? `${name.split("/").at(-1)}.ckpt`;
    await writeWhole(out, stop.image);
    for (const finding of stop.findings) terminal.result(findingText(finding));
    const { predicted, observed, volatile, unexplained } = stop.counts;
    terminal.result(
      `${out}: ${formatBytes(stop.image.length)}, ${stop.pages} pages; ${
        formatCount(predicted)
      } bytes predicted, ` +
        `${formatCount(observed)} observed, ${formatCount(volatile)} volatile, ${
          formatCount(unexplained)
        } unexplained`,
    );
    return stop.findings.length === 0 ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
  },
};
