// SPDX-License-Identifier: MIT

import type { NightlyJob } from "./nightly_result.ts";

/** What {@linkcode timeBreakdown} takes. Times are in seconds. */
interface TimeBreakdownInput {
  /** From the start of the command to the end of its last job. */
  readonly wall: number;
  readonly slots: number;
  /** Until the first job could start. */
  readonly planning: number;
  readonly builds: number;
  /** Jobs that were ended before they were finished. */
  readonly cutShort: number;
  readonly jobs: readonly NightlyJob[];
}

/**
 * What the time of all processes side by side was spent on, in seconds. The sum is `wall` times `slots`, since what
 * nothing ran in is in it, too, as `waiting`.
 */
export function timeBreakdown(input: TimeBreakdownInput): Record<string, number> {
  const { wall, slots, planning, builds, cutShort, jobs } = input;
  const spent: Record<string, number> = { planning, "kernel builds": builds, "jobs cut short": cutShort };
  for (const job of jobs.filter(({ reused }) => !reused)) {
    for (const [name, seconds] of Object.entries(jobBreakdown(job))) {
      spent[name] = (spent[name] ?? 0) + seconds;
    }
  }
  const rounded = Object.entries(spent).map(([name, seconds]): [string, number] => [name, tenths(seconds)]);
  const known = rounded.reduce((sum, [, seconds]) => sum + seconds, 0);
  // The clocks of the jobs' processes and ours are the same, but each starts a moment later.
  rounded.push(["waiting", tenths(Math.max(wall * slots - known, 0))]);
  return Object.fromEntries(rounded.filter(([, seconds]) => seconds > 0));
}

/** What the time of a job was spent on, in seconds: guests' boots, scenarios and the rest, or the suite as a whole. */
export function jobBreakdown({ run, seconds, suite }: NightlyJob): Record<string, number> {
  if (!run?.boots) return seconds > 0 ? { [suite]: seconds } : {};
  const boots = run.boots.milliseconds / 1000;
  const scenarios = run.results.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000;
  return { boots, scenarios, "rest of the jobs": Math.max(seconds - boots - scenarios, 0) };
}

function tenths(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
