// SPDX-License-Identifier: MIT

import type { Guest, GuestAgent } from "../../run/guest/guest.ts";
import { findAllPageLeaks, pageLeakFindings } from "./page_leaks.ts";

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
async function scanKmemleak(agent: GuestAgent): Promise<string> {
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

/** Ends of scenarios in a guest: the process id that was given last by then. */
const LOGS = new WeakMap<Guest, { scenario: string; lastPid: number }[]>();

/** Notes which process ids a scenario has used, when it has ended. */
export async function noteProcesses(guest: Guest, scenario: string): Promise<void> {
  const text = new TextDecoder().decode(await guest.agent.readFile("/proc/loadavg"));
  const log = LOGS.get(guest) ?? [];
  LOGS.set(guest, [...log, { scenario, lastPid: lastPidOf(text) }]);
}

/** The scenario that ran when a process was started; undefined where none did. */
function scenarioOfProcess(guest: Guest, pid: number): string | undefined {
  return LOGS.get(guest)?.find(({ lastPid }) => pid <= lastPid)?.scenario;
}

/** The last field of /proc/loadavg: the newest process id (proc(5)). */
export function lastPidOf(loadavg: string): number {
  const pid = Number(loadavg.trim().split(" ").at(-1));
  if (!Number.isInteger(pid) || pid <= 0) {
    throw new SyntaxError(`/proc/loadavg: expected a process id last, found ${loadavg}`);
  }
  return pid;
}

/**
 * What has leaked by the end of a guest of the debug flavour, in the manner of a kernel log: kmemleak's
 * reports, and a line for pages. Empty when there is nothing.
 */
export async function finalLeakCheck(guest: Guest): Promise<string> {
  const objects = nameScenarios(await scanKmemleak(guest.agent), (pid) => scenarioOfProcess(guest, pid));
  const pages = pageLeakFindings(await findAllPageLeaks(guest.agent), undefined);
  return [...pages.map(({ message, actual }) => `BUG: ${message}: ${actual}`), objects]
    .filter((text) => text !== "").join("\n");
}
