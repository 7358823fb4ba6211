// SPDX-License-Identifier: MIT

import { errnoName } from "../../../lib/abi/errno.ts";
import { signalName } from "../../../lib/abi/signals.ts";
import { decodeStream } from "../../../lib/image/decoder.ts";
import { MalformedImageError } from "../../../lib/image/malformed_image_error.ts";
import { displayText } from "../../../lib/image/struct_codec.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { formatBytes, formatDuration } from "../../run/quantity.ts";
import { type Command, defineCommand, flag, TIME, value, word } from "../options.ts";
import { ACCELERATOR_OPTION, onePlatformOption } from "../shared_options.ts";
import { mountHostFiles } from "../../run/guest/host_files.ts";
import { prepareGuest } from "../../run/guest/prepare_guest.ts";
import { outputOf } from "../../run/case/run_program.ts";

/** What the guest has beside the process. */
const MEMORY_MIB = 1024;
/** How long it may take to restart: a while, and so long for each MiB of the image. */
const DEADLINE_MS = 10_000;
const MS_A_MIB = 50;
const INPUT_PATH = "/run/ckptest.input";
/** Seconds after which a program is left that neither ends nor waits. */
const DEFAULT_AFTER = 10;

/** `restart`: a process of an image, brought back in the guest. */
export const restartCommand: Command = defineCommand({
  file: word("FILE", "the image"),
  arch: value("NAME", "the kernel; x86_64 by default"),
  after: value(TIME, `leave a program that neither ends nor waits after that; ${DEFAULT_AFTER}s by default`),
  stdin: value("FILE", "what the program's standard input goes on with"),
  stopped: flag("leave it stopped before its first instruction"),
  ...ACCELERATOR_OPTION,
}, {
  about: "bring the process of an image back in the guest, show what it prints and how it ends",
  async run({ file, arch, accel, after = DEFAULT_AFTER, stdin, stopped }, { terminal, signal }) {
    const { path, size } = await findFile(file, "the image");
    const paths = [path, ...await mappedFiles(path)];
    const input = stdin === undefined ? undefined : (await findFile(stdin, "option --stdin")).path;
    const sizeMiB = Math.ceil(size / 2 ** 20);
    const memoryMiB = MEMORY_MIB + sizeMiB;
    const { total } = Deno.systemMemoryInfo();
    if (memoryMiB * 2 ** 20 > total) {
      throw new UsageError(
        `${file} has ${formatBytes(size)}, more than the ${formatBytes(total)} of this machine hold`,
      );
    }
    const request = { terminal, signal, accelerator: accel, hostFiles: true, memoryMiB };
    const prepared = await prepareGuest(onePlatformOption(arch), request);
    terminal.status("booting the guest");
    await using guest = await prepared.startGuest();
    const { agent } = guest;
    await mountHostFiles(agent, [Deno.cwd(), ...paths]);
    if (input) await agent.writeFile(INPUT_PATH, await Deno.readFile(input));
    terminal.status(`restarting ${file}`);
    const started = await agent.restart({
      image: path,
      directory: Deno.cwd(),
      ...input && { input: INPUT_PATH },
      deadlineMs: DEADLINE_MS + MS_A_MIB * sizeMiB,
    });
    if (started.result !== 0n) {
      const errno = errnoName(Number(-started.result));
      terminal.result(`${file} was refused: restart(2) failed with ${errno} (docs/restart.2.md)`);
      return EXIT_STATUS.testFailed;
    }
    if (stopped) {
      terminal.result(`${file} was restarted, and is stopped`);
      return EXIT_STATUS.pass;
    }
    await agent.cont(started.pid);
    const limitMs = 1000 * after;
    const state = await agent.quiesce(started.pid, { limitMs, deadlineMs: 30_000 + 3 * limitMs });
    terminal.clearStatus();
    for (const line of (await outputOf(agent, started)).split("\n").slice(0, -1)) {
      terminal.result(`  | ${line}`);
    }
    if (state.signal !== undefined) {
      terminal.result(`${file} was restarted, and ended by ${signalName(state.signal)}`);
      return EXIT_STATUS.testFailed;
    }
    const end = state.state === "exited"
      ? `ended with exit status ${state.code}`
      : state.state === "S"
      ? "waits"
      : `still ran after ${formatDuration(after)}`;
    terminal.result(`${file} was restarted, and ${end}`);
    return EXIT_STATUS.pass;
  },
});

/** The files that an image maps, as far as it can be read: what is wrong with it the kernel is to say. */
async function mappedFiles(image: string): Promise<string[]> {
  const paths = new Set<string>();
  using file = await Deno.open(image);
  try {
    for await (const node of decodeStream(file.readable, { reuseBuffers: true })) {
      if (node.kind !== "record" || node.name !== "FNAME") continue;
      const path = displayText(node.payload.subarray(0, -1));
      if (isThere(path)) paths.add(path);
    }
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
  }
  return [...paths];
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** A regular file that the guest can be shown, by its true path. */
async function findFile(name: string, what: string): Promise<{ path: string; size: number }> {
  try {
    const path = await Deno.realPath(name);
    const { isFile, size } = await Deno.stat(path);
    if (!isFile) throw new Error("it is no regular file");
    (await Deno.open(path)).close();
    return { path, size };
  } catch (error) {
    throw new UsageError(`${what}: ${name} cannot be read: ${(error as Error).message}`);
  }
}
