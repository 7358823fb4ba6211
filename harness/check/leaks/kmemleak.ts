// SPDX-License-Identifier: MIT

import type { GuestAgent } from "../../run/guest/guest.ts";

const KMEMLEAK = "/sys/kernel/debug/kmemleak";
/** kmemleak tells of an object only when it is that old (mm/kmemleak.c, MSECS_MIN_AGE), in milliseconds. */
const MIN_AGE_MS = 5000;
/** An object must look lost in two scans: a pointer to it may just have been on its way. */
const SCANS = 2;

/**
 * Has the kernel look for memory that nothing points to any more (CONFIG_DEBUG_KMEMLEAK).
 *
 * @returns kmemleak's reports, one after the other; empty when there are none
 */
export async function scanKmemleak(agent: GuestAgent): Promise<string> {
  await new Promise((done) => setTimeout(done, MIN_AGE_MS));
  for (let scan = 0; scan < SCANS; scan++) await agent.writeFile(KMEMLEAK, "scan");
  return new TextDecoder().decode(await agent.readFile(KMEMLEAK)).trim();
}

/**
 * Adds to each report of kmemleak the scenario that ran when the object was allocated.
 *
 * @param scenarioOf tells it from the process that allocated
 */
export function nameScenarios(reports: string, scenarioOf: (pid: number) => string | undefined): string {
  return reports.replaceAll(/^ {2}comm "[^"\n]*", pid (\d+),.*$/gm, (line, pid) => {
    const scenario = scenarioOf(Number(pid));
    return scenario === undefined ? line : `${line}\n  allocated while ${scenario} ran`;
  });
}
