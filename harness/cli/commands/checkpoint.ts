// SPDX-License-Identifier: MIT

import { isAbsolute } from "@std/path";
import { findingText } from "../../../lib/image/finding.ts";
import { findTool } from "../../../vm/host/find_tool.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { formatBytes, formatCount } from "../../report/format_quantity.ts";
import { parseOptions } from "../parse_options.ts";
import { parsePlatforms } from "../../run/platform.ts";
import { prepareGuest } from "../../run/guest/prepare_guest.ts";
import { guestKernel } from "../../run/case/scenario_runner.ts";
import { runProgram } from "../../run/case/run_program.ts";
import { Terminal } from "../../report/terminal.ts";
import { writeWhole } from "../../report/write_whole.ts";

/** `checkpoint`: a program of the host, run and checkpointed in the guest. */
export const checkpointCommand: Command = {
  usage: [
    "checkpoint [--out FILE] [--arch NAME] -- PROGRAM ARGS...",
    "run a program of this host in the guest until it waits, stop it, checkpoint it, pull the image out, check it",
  ],
  options: [
    "--out FILE     where the image goes; PROGRAM.ckpt in this directory by default",
    "--arch NAME    the kernel; x86_64 by default",
    "--accel NAME   kvm or tcg, in place of the probe",
  ],
  async run(args) {
    const options = parseOptions(args, { string: ["out", "arch", "accel"], rest: true, words: false });
    const [name, ...programArgs] = options.rest;
    if (name === undefined) throw new UsageError("no program: name it after --");
    const path = isAbsolute(name) ? name : await findTool(name);
    if (path === undefined) throw new UsageError(`no program "${name}" in PATH`);
    const platforms = parsePlatforms({ arch: options.string("arch"), fallback: "x86_64" });
    if (platforms.length !== 1) throw new UsageError("option --arch takes one kernel here");
    const terminal = new Terminal();
    const prepared = await prepareGuest(platforms[0]!, {
      terminal,
      accelerator: options.string("accel"),
      programs: [path],
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
