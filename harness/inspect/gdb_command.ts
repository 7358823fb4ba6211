// SPDX-License-Identifier: MIT

import { exists } from "@std/fs";
import type { TargetArch } from "../../lib/abi/arch.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { buildGuestProgram } from "../../vm/initramfs/build_guest.ts";
import { shellJoin } from "../../vm/host/shell_quote.ts";
import type { Terminal } from "../report/terminal.ts";
import type { StoppedAt } from "../run/case/run_case.ts";
import type { Guest } from "../run/guest/guest.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";

/** The first function of the kernel code that a call gets to when all about its target is checked. */
const BREAKPOINT = "do_checkpoint";

/** Has each checkpoint wait for gdb, and tells how to attach it. */
export function waitForGdb(
  prepared: PreparedGuest,
  terminal: Terminal,
): (stop: StoppedAt, guest: Guest) => Promise<void> {
  return async ({ label, pid, isOwn }, guest) => {
    if (isOwn) return;
    const command = shellJoin(await gdbCommand({ ...prepared, ...prepared.platform }, guest.debug!.socket));
    terminal.note(
      `process ${pid} is stopped: the checkpoint of "${label}" waits for gdb:\n  ${command}`,
    );
    await guest.debug?.continued();
  };
}

/**
 * The command that attaches gdb to a guest whose target is stopped, with the symbols of kernel and target, and the
 * kernel's own gdb scripts where those were built, and goes on to the breakpoint: nothing makes the call before.
 *
 * @throws {UsageError} when there are no symbols of the kernel
 */
export async function gdbCommand(
  { target, vmlinux }: { target: TargetArch; vmlinux?: string | undefined },
  socket: string,
): Promise<readonly string[]> {
  if (vmlinux === undefined) {
    throw new UsageError("gdb needs symbols: give --bzimage a vmlinux as the linker left it");
  }
  const symbols = await buildGuestProgram("target-symbols", target);
  const commands = [
    `add-symbol-file ${symbols}`,
    `target remote ${socket}`,
    `break ${BREAKPOINT}`,
    "continue",
  ];
  // No questions: the answer to each would be yes.
  const quiet = ["-q", "-iex", "set confirm off", "-iex", "set pagination off"];
  // What CONFIG_GDB_SCRIPTS builds beside a kernel. By itself gdb loads it only from directories that it trusts.
  const scripts = `${vmlinux}-gdb.py`;
  const isThere = await exists(scripts);
  if (isThere) commands.unshift(`source ${scripts}`);
  const own = isThere ? ["-iex", "set auto-load python-scripts off"] : [];
  return ["gdb", ...quiet, ...own, vmlinux, ...commands.flatMap((command) => ["-ex", command])];
}
