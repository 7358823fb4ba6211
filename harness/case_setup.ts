// SPDX-License-Identifier: MIT

import type { SetupStep } from "../lib/model/scenario.ts";
import { formatSwapArea } from "../vm/swap_area.ts";
import type { GuestAgent } from "./guest.ts";

/** The RAM disk whose pages are written at once, and the one behind a loop device, which takes its time. */
const SWAP_DEVICES = { ram: "/dev/ram0", loop: "/dev/loop0" } as const;

/** Bytes of the RAM disks: CONFIG_BLK_DEV_RAM_SIZE. */
const SWAP_BYTES = 64 * 1024 * 1024;

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

/** The value of a file below /proc/sys or /sys; of a choice, `always [madvise] never`, the word in brackets. */
export function settingOf(text: string): string {
  return /\[([^\]]+)\]/.exec(text)?.[1] ?? text.trim();
}

async function swapOn(agent: GuestAgent, kind: "ram" | "loop"): Promise<() => Promise<void>> {
  const device = SWAP_DEVICES[kind];
  await agent.writeFile(device, formatSwapArea(SWAP_BYTES));
  await agent.swapOn(device);
  return () => agent.swapOff(device);
}
