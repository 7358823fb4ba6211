// SPDX-License-Identifier: MIT

import { RAM_DISK_SIZE } from "../../../lib/abi/arch.ts";
import { ERRNO } from "../../../lib/abi/errno.ts";
import type { SetupStep } from "../../../lib/model/scenario.ts";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import { formatSwapArea } from "../../../vm/qemu/swap_area.ts";
import type { GuestAgent } from "../guest/guest.ts";

/** The RAM disk whose pages are written at once, and the one behind a loop device, which takes its time. */
const SWAP_DEVICES = { ram: "/dev/ram0", loop: "/dev/loop0" } as const;

const [O_RDWR, LOOP_SET_FD] = [2, 0x4c00];

/**
 * Does what a scenario wants done before its target starts.
 *
 * @returns undoes it again, the last step first
 */
export async function setUpCase(
  agent: GuestAgent,
  steps: readonly SetupStep[],
): Promise<() => Promise<void>> {
  const undo: (() => Promise<void>)[] = [];
  for (const step of steps) {
    // Who the target is, is said when it starts.
    if ("uid" in step) continue;
    if ("swap" in step && step.swap === "loop") await attachLoop(agent);
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
  await agent.call("swapon", device, 0);
  return async () => void await agent.call("swapoff", device);
}

/** Puts the loop device in front of the second RAM disk; it stays there as long as the guest lives. */
async function attachLoop(agent: GuestAgent): Promise<void> {
  const { result: disk } = await agent.call("open", "/dev/ram1", O_RDWR);
  const { result: loop } = await agent.call("open", SWAP_DEVICES.loop, O_RDWR);
  await agent.call("ioctl", loop, LOOP_SET_FD, disk).catch((error) => {
    if (!(error instanceof AgentError) || error.errno !== ERRNO.EBUSY) throw error;
  });
  await agent.call("close", loop);
  await agent.call("close", disk);
}
