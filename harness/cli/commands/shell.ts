// SPDX-License-Identifier: MIT

import { UsageError } from "../../../vm/host/errors.ts";
import { findStop, workAtStop } from "../../inspect/at_stop.ts";
import { runShell, shellFiles } from "../../inspect/guest_shell.ts";
import { prepareGuest } from "../../run/guest/prepare_guest.ts";
import { installFiles } from "../../run/guest/scenario_files.ts";
import { type Command, defineCommand, optionalWord, value } from "../options.ts";
import { ONE_KERNEL_OPTIONS, oneKernelRequest, onePlatformOption } from "../shared_options.ts";

/** `shell`: a terminal in a guest, alone or beside a target that is about to be checkpointed. */
export const shellCommand: Command = defineCommand({
  scenario: optionalWord(
    "SCENARIO[:STOP]",
    "run that scenario up to a stop, the first by default: its target, $TARGET, is as the checkpoint finds it",
  ),
  arch: value("NAME", "the platform; x86_64 by default"),
  ...ONE_KERNEL_OPTIONS,
}, {
  about:
    "a terminal in a guest, or one command behind -- in place of a shell; `ckpt PID FILE` makes the call",
  takesProgram: true,
  async run(options, { program: command, terminal, signal }) {
    const { scenario: text, arch } = options;
    const at = text === undefined ? undefined : await findStop(text);
    const platform = onePlatformOption(arch);
    const prepared = await prepareGuest(platform, {
      ...oneKernelRequest(options),
      ...{ scenarios: at ? [at.scenario] : [], terminal, signal, hasTerminal: true },
    });
    const skipped = at && prepared.skipReason(at.scenario);
    if (skipped !== undefined) throw new UsageError(`${at!.scenario.name} on ${platform.name}: ${skipped}`);
    const files = await shellFiles(prepared.platform, (message) => terminal.status(message));
    terminal.status("booting the guest");
    await using guest = await prepared.startGuest();
    const shell = async ({ pid }: { pid?: number } = {}): Promise<number> => {
      await installFiles(guest.agent, files);
      terminal.clearStatus();
      const where = at && `$TARGET is ${pid}: ${at.scenario.name}, before the checkpoint of "${at.stop}"`;
      const lines = [
        prepared.kernelName,
        prepared.notes,
        where ?? [],
        "ckpt PID FILE makes the call, exit ends the guest",
      ];
      for (const line of command.length > 0 ? [] : lines.flat()) terminal.note(line);
      return await runShell({
        ...{ agent: guest.agent, terminal: guest.terminal, command },
        env: {
          ...{ CKPTEST_NR: String(prepared.checkpointNr), PS1: `${platform.name}# ` },
          ...pid === undefined ? {} : { TARGET: String(pid) },
        },
      });
    };
    return { programStatus: await (at ? workAtStop({ guest, prepared, ...at }, shell) : shell()) };
  },
});
