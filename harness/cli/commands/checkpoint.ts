// SPDX-License-Identifier: MIT

import { resolve } from "@std/path";
import { findingText } from "../../../lib/image/finding.ts";
import { findTool } from "../../../vm/host/find_tool.ts";
import { programClosure } from "../../../vm/initramfs/program_closure.ts";
import { EXIT_STATUS, ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { formatBytes, formatCount } from "../../run/quantity.ts";
import { type Command, defineCommand, value } from "../options.ts";
import { ACCELERATOR_OPTION, onePlatformOption } from "../shared_options.ts";
import { prepareGuest } from "../../run/guest/prepare_guest.ts";
import { guestKernel } from "../../run/case/scenario_runner.ts";
import { runProgram } from "../../run/case/run_program.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";

const EM_386 = 3;
const EM_X86_64 = 62;

/** `checkpoint`: a program of the host, run and checkpointed in the guest. */
export const checkpointCommand: Command = defineCommand({
  out: value("FILE", "where the image goes; PROGRAM.ckpt in this directory by default"),
  arch: value("NAME", "the kernel; x86_64 by default"),
  ...ACCELERATOR_OPTION,
}, {
  about: "run a program of this host in the guest until it waits, checkpoint it, check the image",
  takesProgram: true,
  async run({ out: wanted, arch, accel }, { program: [name, ...programArgs], terminal, signal }) {
    if (name === undefined) throw new UsageError("no program: name it after --");
    const found = name.includes("/") ? name : await findTool(name);
    if (found === undefined) throw new ExpectedError(`no program "${name}" in PATH`);
    const path = resolve(found);
    const platform = onePlatformOption(arch);
    const machines = platform.kernel === "x86_64" ? [EM_X86_64, EM_386] : [EM_386];
    const files = await programClosure(path, { machines });
    const prepared = await prepareGuest(platform, { terminal, signal, accelerator: accel, files });
    terminal.status("booting the guest");
    await using guest = await prepared.startGuest();
    terminal.status(`running ${name}`);
    const kernel = await guestKernel(guest, prepared);
    const outcome = await runProgram(guest, { argv: [path, ...programArgs] }, { kernel });
    terminal.clearStatus();
    const stop = outcome.stops[0]!;
    const out = wanted ?? `${name.split("/").at(-1)}.ckpt`;
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
});
