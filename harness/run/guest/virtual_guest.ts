// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import {
  AgentSession,
  BOOT_DEADLINE_MS,
  type GuestInfo,
  type GuestLink,
} from "../../../vm/agent/agent_session.ts";
import { Lockstep } from "../../../vm/agent/lockstep.ts";
import { SerialLine } from "../../../vm/agent/serial_line.ts";
import { throwIfInterrupted } from "../../../vm/host/errors.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import { FLAVOURS } from "../../../vm/kernel/config/kernel_flavour.ts";
import { GdbRemote } from "../../../vm/qemu/gdb_remote.ts";
import { type GuestChannel, standaloneArguments } from "../../../vm/qemu/qemu_arguments.ts";
import {
  startVirtualMachine,
  type VirtualMachine,
  type VirtualMachineOptions,
} from "../../../vm/qemu/virtual_machine.ts";
import type { Terminal } from "../../report/terminal.ts";
import { withDrainedConsole } from "../../triage/log_reader.ts";
import type { Platform } from "../platform.ts";
import type { Guest, GuestDebug } from "./guest.ts";

/** MiB; guests that run programs have more. */
export const SCENARIO_MEMORY_MIB = 256;
/** A plain kernel boots in less: after it the user is told what is waited for. */
const SLOW_BOOT_MS = 3000;

/** How many times longer everything but the boot may take over a serial line: it carries some 100 KiB a second. */
const SERIAL_SLOWDOWN = 30;

/** How many times longer everything may take whose instructions QEMU counts; measured 1.5. */
const COUNTING_SLOWDOWN = 4;
/** The same where somebody at gdb may stop the guest for hours. */
const GDB_PATIENCE = 1e6;

/** What a guest is started with. */
export interface VirtualGuestOptions extends VirtualMachineOptions {
  readonly channel: GuestChannel;
  /** What the agent has said of itself, where the guest goes on from a snapshot. */
  readonly info?: GuestInfo;
}

/** A guest in QEMU. */
export interface VirtualGuest extends Guest {
  readonly machine: VirtualMachine;
}

/**
 * Starts a guest, and waits for its agent. The signal ends it, then and later.
 *
 * @throws {InterruptedError} once the signal has come
 */
export async function startVirtualGuest(
  { name, flavour }: Platform,
  { terminal, signal }: { terminal: Terminal; signal?: AbortSignal | undefined },
  machineOptions: VirtualGuestOptions,
): Promise<VirtualGuest> {
  const { channel, replay, isDeterministic } = machineOptions;
  throwIfInterrupted(signal);
  const begin = performance.now();
  const machine = await startVirtualMachine(machineOptions);
  const end = (): void => void machine.close();
  signal?.addEventListener("abort", end);
  machine.exited.then(() => signal?.removeEventListener("abort", end));
  if (signal?.aborted) end();
  const patience = FLAVOURS[flavour].slowdown *
    (isDeterministic || replay ? COUNTING_SLOWDOWN : machineOptions.takesGdb ? GDB_PATIENCE : 1);
  const bootDeadlineMs = BOOT_DEADLINE_MS * patience;
  const notice = setTimeout(() => {
    const limit = `${bootDeadlineMs / 1000} s at most`;
    terminal.status(
      `${name}: the kernel boots; waiting for the hello of its agent over ${channel} (${limit})`,
    );
  }, SLOW_BOOT_MS);
  try {
    const { info } = machineOptions;
    const session = await AgentSession.connect(await linkOf(machine, machineOptions), {
      ...{ info, memory: machine.memory },
      bootDeadlineMs,
      maxBytes: maxAnswerBytes(machineOptions.memoryMiB ?? SCENARIO_MEMORY_MIB),
      slowdown: patience * (channel === "serial" ? SERIAL_SLOWDOWN : 1),
    });
    if (!info && FLAVOURS[flavour].hasDebugfs) {
      await session.mount({ type: "debugfs", source: "debugfs", directory: "/sys/kernel/debug" });
    }
    return {
      ...{ machine, agent: session, console: machine.console, ended: machine.exited },
      terminal: machine.terminal,
      recording: replay?.directory,
      debug: isDeterministic ? undefined : debugOf(machine),
      bootMilliseconds: performance.now() - begin,
      command: shellJoin(standaloneArguments(machine.argv)),
      async [Symbol.asyncDispose]() {
        await machine.close();
        if (replay === undefined) return;
        await Deno.writeTextFile(join(replay.directory, "console.log"), machine.console.text());
      },
    };
  } catch (error) {
    if (signal?.aborted) await machine.close();
    throwIfInterrupted(signal);
    const lost = await withDrainedConsole(error, machine);
    await machine.close();
    throw lost;
  } finally {
    clearTimeout(notice);
  }
}

function debugOf(machine: VirtualMachine): GuestDebug | undefined {
  const { gdbSocket: socket } = machine;
  const wait = { awaited: "gdb to attach and go on", deadlineMs: Infinity };
  return socket === undefined
    ? undefined
    : { socket, continued: () => machine.waitFor(wait, machine.monitor.event("RESUME")) };
}

/** An image can be as large as the guest's memory. Those of scenarios are far smaller: what is larger is a flood. */
function maxAnswerBytes(memoryMiB: number): number {
  return (memoryMiB > SCENARIO_MEMORY_MIB ? memoryMiB : memoryMiB / 4) * 2 ** 20;
}

/** What an agent is talked to through: the guest's two ports, two channels on its serial line, or its memory. */
async function linkOf(
  machine: VirtualMachine,
  { channel, isDeterministic }: VirtualGuestOptions,
): Promise<GuestLink> {
  if (channel === "virtio" && !isDeterministic) return machine;
  const { control, data } = isDeterministic
    ? new Lockstep(machine, new GdbRemote(await machine.attach()))
    : new SerialLine(machine.control);
  return {
    control,
    data,
    waitFor: (wait, work) => machine.waitFor(wait, work),
    lost: (reason, awaited, detail) => machine.lost(reason, awaited, detail),
  };
}
