// SPDX-License-Identifier: MIT

import { UsageError } from "../../../vm/host/errors.ts";
import { requireTools } from "../../../vm/host/find_tool.ts";
import { findStop, workAtStop } from "../../inspect/at_stop.ts";
import { gdbCommand } from "../../inspect/gdb_command.ts";
import { prepareGuest } from "../../run/guest/prepare_guest.ts";
import { withoutCtrlC } from "../../run/on_interrupt.ts";
import { type Command, defineCommand, value, word } from "../options.ts";
import { ONE_KERNEL_OPTIONS, oneKernelRequest, onePlatformOption } from "../shared_options.ts";

/** `gdb`: gdb in the checkpoint of a scenario's stop. */
export const gdbCommandLine: Command = defineCommand({
  scenario: word(
    "SCENARIO[:STOP]",
    "the scenario, and the stop whose checkpoint is looked at, the first by default",
  ),
  arch: value("NAME", "the platform; x86_64 by default"),
  ...ONE_KERNEL_OPTIONS,
}, {
  about:
    "boot a guest, run a scenario up to a checkpoint, and stop in it in gdb; what is behind -- goes to gdb",
  takesProgram: true,
  async run(options, { program: more, terminal, signal }) {
    await requireTools(["gdb"]);
    const at = await findStop(options.scenario);
    const platform = onePlatformOption(options.arch);
    const request = { scenarios: [at.scenario], terminal, signal, takesGdb: true };
    const prepared = await prepareGuest(platform, { ...oneKernelRequest(options), ...request });
    const skipped = prepared.skipReason(at.scenario);
    if (skipped !== undefined) throw new UsageError(`${at.scenario.name} on ${platform.name}: ${skipped}`);
    terminal.status("booting the guest");
    await using guest = await prepared.startGuest();
    return await workAtStop({ guest, prepared, ...at }, async ({ pid, goOn }) => {
      const machine = { ...prepared, ...prepared.platform };
      const [program, ...args] = await gdbCommand(machine, guest.debug!.socket);
      terminal.clearStatus();
      terminal.note(`${at.scenario.name}: process ${pid}, stopped before the checkpoint of "${at.stop}"`);
      guest.debug!.continued().then(goOn, () => {});
      const gdb = new Deno.Command(program!, { args: [...args, ...more], stdin: "inherit" }).spawn();
      return { programStatus: (await withoutCtrlC(gdb.status)).code };
    });
  },
});
