// SPDX-License-Identifier: MIT

import type { Guest } from "../../run/guest/guest.ts";

/** Ends of scenarios in a guest: the process id that was given last by then. */
const LOGS = new WeakMap<Guest, { scenario: string; lastPid: number }[]>();

/** Notes which process ids a scenario has used, when it has ended. */
export async function noteProcesses(guest: Guest, scenario: string): Promise<void> {
  const text = new TextDecoder().decode(await guest.agent.readFile("/proc/loadavg"));
  const log = LOGS.get(guest) ?? [];
  LOGS.set(guest, [...log, { scenario, lastPid: lastPidOf(text) }]);
}

/** The scenario that ran when a process was started; undefined where none did. */
export function scenarioOfProcess(guest: Guest, pid: number): string | undefined {
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
