// SPDX-License-Identifier: MIT

import { RAM_DISK_SIZE } from "../../../lib/abi/arch.ts";
import type { SetupStep } from "../../../lib/model/scenario.ts";
import { ProgramBuilder } from "../../../lib/model/program_builder.ts";
import { decodeResults, encodeProgram } from "../../../vm/agent/target_program.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { formatSwapArea } from "../../../vm/qemu/swap_area.ts";
import type { GuestAgent } from "../guest/guest.ts";

/** The RAM disk whose pages are written at once, and the one behind a loop device, which takes its time. */
const SWAP_DEVICES = { ram: "/dev/ram0", loop: "/dev/loop0" } as const;

/** Bytes of the RAM disks: CONFIG_BLK_DEV_RAM_SIZE. */

/** What the target program of the guest is, which sets up what only a program can. */
export interface SetupTarget {
  readonly path: string;
  readonly wordSize: 4 | 8;
}

/**
 * Does what a scenario wants done before its target starts.
 *
 * @returns undoes it again, the last step first
 */
export async function setUpCase(
  agent: GuestAgent,
  steps: readonly SetupStep[],
  target: SetupTarget,
): Promise<() => Promise<void>> {
  const undo: (() => Promise<void>)[] = [];
  for (const step of steps) {
    // Who the target is, is said when it starts.
    if ("uid" in step) continue;
    if ("swap" in step && step.swap === "loop") await attachLoop(agent, target);
    undo.push("swap" in step ? await swapOn(agent, step.swap) : await write(agent, step.write, step.value));
  }
  return async () => {
    for (const one of undo.reverse()) await one();
  };
}

async function write(agent: GuestAgent, path: string, value: string): Promise<() => Promise<void>> {
  const before = settingOf(new TextDecoder().decode(await agent.readFile(path)));
  await agent.writeFile(path, value);
  return () => agent.writeFile(path, before);
}

/**
 * The value of a file below /proc/sys or /sys; of a choice, `always [madvise] never`, the word in brackets.
 */
export function settingOf(text: string): string {
  return /\[([^\]]+)\]/.exec(text)?.[1] ?? text.trim();
}

async function swapOn(agent: GuestAgent, kind: "ram" | "loop"): Promise<() => Promise<void>> {
  const device = SWAP_DEVICES[kind];
  await agent.writeFile(device, formatSwapArea(RAM_DISK_SIZE));
  await agent.swapOn(device);
  return () => agent.swapOff(device);
}

/** Puts the loop device in front of the second RAM disk; it stays there as long as the guest lives. */
async function attachLoop(agent: GuestAgent, { path, wordSize }: SetupTarget): Promise<void> {
  const LOOP_SET_FD = 0x4c00n;
  const O_RDWR = 2n;
  const EBUSY = 16n;
  const builder = new ProgramBuilder(wordSize);
  builder.syscall("open", [builder.scratchString(0, "/dev/ram1"), O_RDWR, 0n], { keep: 1 });
  builder.syscall("open", [builder.scratchString(0, "/dev/loop0"), O_RDWR, 0n], { keep: 2 });
  builder.syscall("ioctl", [{ slot: 2 }, LOOP_SET_FD, { slot: 1 }]);
  builder.emit({ op: "exit", code: 0 });
  await agent.program(encodeProgram(builder.ops));
  await agent.spawn({ path });
  await agent.event();
  const result = decodeResults(builder.ops, await agent.results()).results.at(-1)?.value;
  if (result !== 0n && result !== -EBUSY) {
    throw new UsageError(`the guest cannot set up /dev/loop0 over /dev/ram1: ioctl gave ${result}`);
  }
}
