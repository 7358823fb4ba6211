// SPDX-License-Identifier: MIT

import { waitingTasks } from "./waiting_tasks.ts";
import type { ConsoleLog } from "./console_log.ts";
import { withDeadline } from "../host/deadline.ts";
import type { Qmp } from "./qmp.ts";
import { describeProcessors, kernelSymbols, parseProcessors } from "./processors.ts";

/** Time without a further line after which the kernel has said all to a key of sysrq, and the most that it has. */
const SYSRQ_QUIET_MS = 300;
const SYSRQ_MS = 2_000;
/** Time that QEMU has to tell the registers. */
const MONITOR_MS = 2_000;
/** Lines of the console's end that are told: room for the stacks of some tasks. */
const MAX_TAIL = 400;
/** Those from before the questions. */
const TAIL = 40;

/** What a guest that hangs can be asked by. */
interface HungGuest {
  readonly console: ConsoleLog;
  /** Takes Ctrl-A b and a key of sysrq. */
  readonly keys: Deno.Conn | undefined;
  readonly monitor: Pick<Qmp, "monitor"> | undefined;
  readonly vmlinux: string | undefined;
}

/**
 * Asks a guest that hangs where its processors are and, if its kernel has CONFIG_MAGIC_SYSRQ, what each task waits for
 * and which locks are held.
 */
export async function askHungGuest(
  { console, keys, monitor, vmlinux }: HungGuest,
): Promise<{ detail: string[]; consoleTail: string }> {
  // First, as the keys make a processor run.
  const asked = monitor?.monitor("info registers -a") ?? Promise.resolve("");
  const registers = await withDeadline(asked, MONITOR_MS, "registers").catch(() => "");
  const found = parseProcessors(registers);
  const processors = describeProcessors(found, found.length === 0 ? [] : await kernelSymbols(vmlinux));
  const start = console.offset;
  const grows = () => withDeadline(console.grown, SYSRQ_QUIET_MS, "it").then(() => true, () => false);
  // First the log level at which the rest is printed. The serial port remembers one break at a time. All tasks are many
  // lines: the end of the console has those that no signal reaches, and the locks.
  let tail = start;
  for (const key of "9twd") {
    const end = performance.now() + SYSRQ_MS;
    if (key === "w") tail = console.offset;
    await keys?.write(new TextEncoder().encode(`\x01b${key}`)).catch(() => {});
    while (performance.now() < end && await grows());
  }
  const lines = console.text(tail).split("\n").length;
  return {
    detail: [...processors, ...waitingTasks(console.text(start))],
    consoleTail: console.tail(Math.min(TAIL + lines, MAX_TAIL)),
  };
}
