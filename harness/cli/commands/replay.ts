// SPDX-License-Identifier: MIT

import { createHash } from "node:crypto";
import { join } from "@std/path";
import { EXIT_STATUS, ExpectedError, throwIfInterrupted } from "../../../vm/host/errors.ts";
import { ignoreMissing } from "../../../vm/host/ignore_missing.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import { readRecording } from "../../../vm/qemu/recording.ts";
import { startVirtualMachine } from "../../../vm/qemu/virtual_machine.ts";
import { gdbCommand } from "../../inspect/gdb_command.ts";
import { formatBytes } from "../../run/quantity.ts";
import { type Command, defineCommand, existing, flag, word } from "../options.ts";

const DIRECTORY = existing("DIR", "a directory that is there", (path) => Deno.statSync(path).isDirectory);

const TOO_MUCH =
  "QEMU has no place for what a guest says faster than it is heard: images of more than 200 KiB or so";

/** `replay`: a recorded guest once more. */
export const replayCommand: Command = defineCommand({
  recording: word(DIRECTORY, "what run --record made of a guest, such as recordings/1"),
  gdb: flag("wait for gdb before the first instruction; says how to attach"),
}, {
  about: "play a guest again that was recorded, the same from the first instruction to the last",
  async run({ recording: directory, gdb }, { terminal, signal }) {
    const { target, ...recorded } = await readRecording(directory);
    await using machine = await startVirtualMachine({
      ...recorded,
      ...{ accelerator: "tcg", takesGdb: gdb, replay: { mode: "replay", directory } },
    });
    const end = (): void => void machine.close();
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    if (gdb) {
      const command = await gdbCommand({ ...recorded, target }, machine.gdbSocket!);
      terminal.note(`the recording waits for gdb:\n  ${shellJoin(command)}`);
    } else terminal.status("playing");
    const said = await Promise.all([machine.control, machine.data].map(listen));
    const { code, stderr } = await machine.exited;
    throwIfInterrupted(signal);
    if (code !== 0) {
      const hint = stderr.includes("character write event") ? `\n${TOO_MUCH}` : "";
      throw new ExpectedError(`the recording cannot be played: QEMU ended with ${code}: ${stderr}${hint}`);
    }
    terminal.clearStatus();
    const text = machine.console.text();
    for (const line of text.trimEnd().split("\n")) terminal.result(line);
    const before = await Deno.readTextFile(join(directory, "console.log")).catch(ignoreMissing);
    for (const [index, { length, digest }] of said.entries()) {
      terminal.result(
        `${["answers", "images"][index]} of the agent: ${formatBytes(length)}, sha256 ${digest}...`,
      );
    }
    if (text === before || before === undefined) return EXIT_STATUS.pass;
    terminal.result("the console is another than it was when the guest was recorded");
    return EXIT_STATUS.testFailed;
  },
});

/** Reads what the agent says to its end: how many bytes, and their digest. */
async function listen(conn: Deno.Conn): Promise<{ length: number; digest: string }> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(64 << 10);
  let length = 0;
  for (let got; (got = await conn.read(buffer)) !== null; length += got) hash.update(buffer.subarray(0, got));
  return { length, digest: hash.digest("hex").slice(0, 16) };
}
