// SPDX-License-Identifier: MIT

import type { Terminal } from "../../report/terminal.ts";
import { formatDuration } from "../../run/quantity.ts";
import type { NightlyPlan } from "./planned_job.ts";

/** Prints the jobs of a plan: the name, what it took before, and the digest or what is wrong with it. */
export function printPlan(
  { jobs, selected }: NightlyPlan,
  durations: ReadonlyMap<string, number>,
  terminal: Pick<Terminal, "result">,
): void {
  for (const { name, digest, problem } of jobs) {
    if (!selected.includes(name)) continue;
    const seconds = durations.get(name);
    const time = seconds === undefined ? "unknown" : formatDuration(seconds);
    const what = problem === undefined ? digest ?? "" : `cannot be planned: ${problem.split("\n")[0]}`;
    terminal.result([name.padEnd(36), time.padStart(8), what].join("  "));
  }
}
