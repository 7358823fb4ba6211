// SPDX-License-Identifier: MIT

import type { Finding } from "../lib/image/finding.ts";
import type { GuestAgent } from "./guest.ts";

/** What the kernel counts of what it has given out. */
export interface LeakCounters {
  /** Open files: the first number of /proc/sys/fs/file-nr. */
  readonly files: number;
  /** MemFree of /proc/meminfo, in bytes. */
  readonly free: number;
  /** SUnreclaim: memory of the kernel's own objects, in bytes. */
  readonly objects: number;
}

const KIB = 1024;
const PAGE_BYTES = 4096;
/** The smallest leak of a call that must show in the kernel's objects, in bytes. */
const SMALLEST_OBJECT = 128;

/** Reads the counters. */
export async function readLeakCounters(agent: GuestAgent): Promise<LeakCounters> {
  const text = async (path: string) => new TextDecoder().decode(await agent.readFile(path));
  const memory = await text("/proc/meminfo");
  const line = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(memory)?.[1] ?? NaN) * KIB;
  return {
    files: parseInt(await text("/proc/sys/fs/file-nr")),
    free: line("MemFree"),
    objects: line("SUnreclaim"),
  };
}

/**
 * What so many calls did not give back: a file that stays open, half a page or {@linkcode SMALLEST_OBJECT} bytes of
 * an object each. One leak in a few calls is for a kernel that looks for it.
 */
export function leakFindings(before: LeakCounters, after: LeakCounters, times: number): Finding[] {
  const grown: [what: string, growth: number, most: number][] = [
    ["open files", after.files - before.files, 0],
    ["bytes of memory", before.free - after.free, times * PAGE_BYTES / 2],
    ["bytes of kernel objects", after.objects - before.objects, times * SMALLEST_OBJECT],
  ];
  return grown.filter(([, growth, most]) => !(growth <= most)).map(([what, growth, most]) => ({
    id: "E_LEAK",
    verdict: "mismatch",
    path: "checkpoint(2)",
    message: `${times} calls did not give back what they took`,
    expected: `at most ${most} ${what} more`,
    actual: `${growth} more`,
  }));
}
