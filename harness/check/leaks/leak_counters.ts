// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../../lib/abi/arch.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import type { GuestAgent } from "../../run/guest/guest.ts";
import { callFinding } from "../check_reply.ts";

/** What the kernel counts of what it has given out. */
interface LeakCounters {
  /** Open files: the first number of /proc/sys/fs/file-nr. */
  readonly files: number;
  /** Free pages of /proc/zoneinfo, those that a CPU keeps for itself included, in bytes. */
  readonly free: number;
  /** SUnreclaim: memory of the kernel's own objects, in bytes. */
  readonly objects: number;
  /**
   * Whether kmemleak watches: it finds leaks itself, at the end of the run, and on such a kernel memory is no
   * measure, as freed objects lie in KASAN's quarantine and every allocation is written down.
   */
  readonly isWatched: boolean;
  /** Whether the kernel counts each at once: with several processors it is behind by some dozens for each of them. */
  readonly isExact: boolean;
}

/** Of so many calls and more, what they leak shows. */
export const MANY_CALLS = 100;

const KIB = 1024;
const MAX_CACHES = 2 * 1024 * 1024;
/** The smallest leak of a call that must show in the kernel's objects, in bytes. */
const SMALLEST_OBJECT = 64;

/** Reads the counters. */
export async function readLeakCounters(agent: GuestAgent): Promise<LeakCounters> {
  const text = async (path: string) => new TextDecoder().decode(await agent.readFile(path));
  const zones = await text("/proc/zoneinfo");
  const pages = [...zones.matchAll(/^\s+(?:nr_free_pages|count:)\s+(\d+)$/gm)].map((match) =>
    Number(match[1])
  );
  const objects = /^SUnreclaim:\s+(\d+) kB$/m.exec(await text("/proc/meminfo"))?.[1];
  const isWatched = await agent.readFile("/sys/kernel/debug/kmemleak").then(() => true, (error) => {
    if (error instanceof AgentError) return false;
    throw error;
  });
  const processors = [...(await text("/proc/stat")).matchAll(/^cpu\d+ /gm)].length;
  return {
    isWatched,
    isExact: processors <= 1,
    files: parseInt(await text("/proc/sys/fs/file-nr")),
    free: pages.length === 0 ? NaN : pages.reduce((sum, count) => sum + count) * PAGE_SIZE,
    objects: Number(objects ?? NaN) * KIB,
  };
}

/** What of a target's memory is not free again when the target is gone: more than caches that were warmed up. */
export function lostMemory(before: LeakCounters, after: LeakCounters): Finding[] {
  const lost = before.free - after.free;
  if (before.isWatched || lost <= MAX_CACHES) return [];
  const expected = `at most ${MAX_CACHES} bytes less than before it`;
  return [callFinding("E_LEAK", "the target is gone, and its memory is not free", expected, `${lost} less`)];
}

/** How often calls are made again that seem to have lost something. */
const MAX_ROUNDS = 5;

/**
 * Makes so many calls, round after round until one gives back what it took: caches fill and empty when they please,
 * those of the channel to the host among them; a leak grows with every round.
 *
 * @param round makes the calls once
 * @returns what the last round came to, and what it lost
 */
export async function watchForLeaks<T>(
  agent: GuestAgent,
  { times, smallest }: { times: number; smallest?: number },
  round: () => Promise<T>,
): Promise<{ made: T; leaks: Finding[] }> {
  for (let nr = 1;; nr++) {
    const before = await readLeakCounters(agent);
    const made = await round();
    const leaks = leakFindings(before, await readLeakCounters(agent), times, smallest);
    if (leaks.length === 0 || nr === MAX_ROUNDS) return { made, leaks };
  }
}

/**
 * What so many calls did not give back: a file that stays open, half a page or `smallest` bytes of an object each.
 * One leak in a few calls is for a kernel that looks for it.
 */
export function leakFindings(
  before: LeakCounters,
  after: LeakCounters,
  times: number,
  smallest: number = SMALLEST_OBJECT,
): Finding[] {
  const grown: [what: string, growth: number, most: number][] = [
    ["open files", after.files - before.files, 0],
    ["bytes of memory", before.free - after.free, times * PAGE_SIZE / 2],
    ["bytes of kernel objects", after.objects - before.objects, times * smallest],
  ];
  return grown.slice(0, before.isWatched ? 1 : grown.length).filter(([, growth, most]) => !(growth <= most))
    .map(([what, growth, most]) => {
      const message = `${times} calls did not give back what they took`;
      return callFinding("E_LEAK", message, `at most ${most} ${what} more`, `${growth} more`);
    });
}
