// SPDX-License-Identifier: MIT

import { type Finding, mismatch } from "../../../lib/image/finding.ts";
import type { GuestAgent } from "../../run/guest/guest.ts";

/** Bits of /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst). */
const KPF = { mmap: 1n << 11n, anon: 1n << 12n, swapCache: 1n << 13n } as const;

/**
 * Page frames that nobody maps and nobody gave back: anonymous, but neither in an address space nor in the
 * swap cache. What holds them is a reference alone.
 *
 * @param kpageflags the file of that name, 64 bits a page frame
 * @returns numbers of page frames
 */
export function leakedPages(kpageflags: Uint8Array): number[] {
  const { buffer, byteOffset, byteLength } = kpageflags;
  const view = new DataView(buffer, byteOffset, byteLength);
  const leaked: number[] = [];
  for (let frame = 0; 8 * frame + 8 <= byteLength; frame++) {
    const flags = view.getBigUint64(8 * frame, true);
    if ((flags & KPF.anon) !== 0n && (flags & (KPF.mmap | KPF.swapCache)) === 0n) leaked.push(frame);
  }
  return leaked;
}

/**
 * Pages on the lists of anonymous memory that are neither mapped, nor of a tmpfs, nor in the swap cache, by
 * the kernel's own counters: quickly asked, but blind for the few pages that are just on their way to a list.
 *
 * @param meminfo text of /proc/meminfo
 */
export function unmappedAnonymousPages(meminfo: string): number {
  const pages = (name: string): number => {
    const kib = meminfo.split("\n").find((line) => line.startsWith(`${name}:`))?.match(/\d+/)?.[0];
    if (kib === undefined) throw new SyntaxError(`/proc/meminfo: expected a line ${name}, found none`);
    return Number(kib) / 4;
  };
  const onLists = pages("Active(anon)") + pages("Inactive(anon)") + pages("Unevictable");
  return onLists - pages("AnonPages") - pages("Shmem") - pages("SwapCached");
}

/**
 * Ends what a scenario left, and looks for its leaked pages: thoroughly only where the kernel's counters give
 * a reason.
 */
export async function findPageLeaks(agent: GuestAgent): Promise<number[]> {
  await agent.clean();
  const meminfo = new TextDecoder().decode(await agent.readFile("/proc/meminfo"));
  return unmappedAnonymousPages(meminfo) > 0 ? await findAllPageLeaks(agent) : [];
}

/** Makes the kernel give up what it merely has not got round to freeing, and looks what is left. */
export async function findAllPageLeaks(agent: GuestAgent): Promise<number[]> {
  await agent.clean();
  // The first thing that compaction does is to empty the batches of pages on their way to an LRU list.
  await agent.writeFile("/proc/sys/vm/compact_memory", "1");
  return leakedPages(await agent.readFile("/proc/kpageflags"));
}

/** The finding for pages that leaked; none when there are none. */
export function pageLeakFindings(frames: readonly number[], where: string | undefined): Finding[] {
  if (frames.length === 0) return [];
  return [mismatch("E_PAGE_LEAK", {
    path: where ?? "kernel memory",
    message: `page reference leak${where === undefined ? "" : ` in ${where}`}: ` +
      "anonymous pages that nobody maps are still there when all processes of the scenario have ended",
    expected: "none",
    actual: `${frames.length}: page frames ${frames.slice(0, 8).join(", ")}${
      frames.length > 8 ? " ..." : ""
    }`,
  })];
}
