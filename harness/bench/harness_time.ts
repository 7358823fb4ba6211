// SPDX-License-Identifier: MIT

import process from "node:process";
import type { Scenario } from "../../lib/model/scenario.ts";
import { withMembers } from "../../vm/host/with_members.ts";
import { scenarioRunner } from "../run/case/scenario_runner.ts";
import type { Guest } from "../run/guest/guest.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";
import { runCatalogue } from "../run/run_catalogue.ts";
import { formatSeconds } from "../run/quantity.ts";

/** What was waited for, how often, and how long in all, in milliseconds. */
interface Waits {
  count: number;
  ms: number;
}

/** Where the time of scenarios that ran one after another went, in milliseconds. */
interface HarnessTime {
  readonly scenarios: number;
  readonly failed: number;
  readonly wall: number;
  /** Of the harness's process: all of its threads. */
  readonly processor: number;
  readonly boots: Waits;
  /** By command, what the guest took to answer. Nothing else is done meanwhile. */
  readonly agent: ReadonlyMap<string, Waits>;
}

/** Runs scenarios in one guest, and measures. A scenario that fails is not run again. */
export async function measureHarnessTime(
  prepared: PreparedGuest,
  scenarios: readonly Scenario[],
): Promise<HarnessTime> {
  const agent = new Map<string, Waits>();
  const boots = { count: 0, ms: 0 };
  const counts = { scenarios: 0, failed: 0 };
  const cpu = process.cpuUsage();
  const begin = performance.now();
  await runCatalogue(scenarios, {
    startGuest: async () => timed(await prepared.startGuest(), agent),
    runScenario: scenarioRunner(prepared),
    skipReason: prepared.skipReason,
    onGuest: ({ bootMilliseconds }) => add(boots, bootMilliseconds),
    onResult: ({ status, phase }) => {
      if (status !== "skip" && phase === undefined) counts.scenarios++;
      if (status === "fail" || status === "lost") counts.failed++;
    },
    ...{ repeat: 0, signal: prepared.signal },
  });
  const wall = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpu);
  return { ...counts, wall, processor: (user + system) / 1000, boots, agent };
}

/** The same guest, whose agent's answers are timed. */
function timed(guest: Guest, waits: Map<string, Waits>): Guest {
  const agent = withMembers(guest.agent, (name, method) => {
    if (typeof method !== "function") return method;
    return async (...args: unknown[]): Promise<unknown> => {
      const begin = performance.now();
      try {
        return await method(...args);
      } finally {
        const known = waits.get(name) ?? { count: 0, ms: 0 };
        add(known, performance.now() - begin);
        waits.set(name, known);
      }
    };
  });
  return withMembers(guest, (name, value) => name === "agent" ? agent : value);
}

function add(waits: Waits, ms: number): void {
  waits.count++;
  waits.ms += ms;
}

/** It in lines, the longest first. */
export function harnessTimeLines(
  { scenarios, failed, wall, boots, agent, processor }: HarnessTime,
): string[] {
  const answers = [...agent].toSorted(([, a], [, b]) => b.ms - a.ms);
  const waited = answers.reduce((sum, [, { ms }]) => sum + ms, 0);
  const share = (name: string, ms: number, count?: number): string => {
    const each = count ? `${String(count).padStart(6)} x ${(ms / count).toFixed(1)} ms` : "";
    const percent = `${(100 * ms / wall).toFixed(0)} %`.padStart(5);
    return `${formatSeconds(ms).padStart(9)} ${percent}  ${name.padEnd(24)}${each}`.trimEnd();
  };
  return [
    `${scenarios} scenarios, ${failed} failed, one after another in ${formatSeconds(wall)}; ` +
    `the harness had ${formatSeconds(processor)} of processor time`,
    share("boots", boots.ms, boots.count),
    share("the guest answers", waited),
    ...answers.map(([name, { ms, count }]) => share(`  ${name}`, ms, count)),
    share("the harness: judging", wall - boots.ms - waited),
  ];
}
