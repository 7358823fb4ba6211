// SPDX-License-Identifier: MIT

import type { Scenario } from "../../lib/model/scenario.ts";
import type { GuestPlan } from "./guest/plan_guest.ts";
import type { RunnerOptions } from "./case/scenario_runner.ts";
import { type PreparedGuest, preparePlanned } from "./guest/prepare_guest.ts";
import { Order, type Turn } from "./in_order.ts";
import { JudgePool } from "../check/judge_pool.ts";
import type { CatalogueOptions } from "./run_catalogue.ts";
import { type RunObserver, runPlatform } from "./run_platform.ts";
import type { RunReport } from "./run_report.ts";
import { type ScenarioHistory, timesOf } from "./scenario_history.ts";

interface PlatformsOptions extends Pick<CatalogueOptions, "repeat" | "slots" | "limit" | "isolate"> {
  readonly report: RunReport;
  readonly scenariosOf: (platform: string) => readonly Scenario[];
  readonly history: ScenarioHistory;
  /** Options that name the kernels, for the commands that show a failure again. */
  readonly kernelOptions: readonly string[];
  /** What is added to each scenario on a kernel. */
  readonly runnerOf: (prepared: PreparedGuest) => RunnerOptions;
}

/**
 * Builds kernels one after another, and runs scenarios on those that are there. Guests of all kernels share the slots:
 * each kernel begins with its share, and has more guests when another has no scenarios left. Results come kernel by
 * kernel.
 */
export async function runPlatforms(
  plans: readonly GuestPlan[],
  { report, scenariosOf, history, kernelOptions, runnerOf, ...options }: PlatformsOptions,
): Promise<void> {
  const order = new Order();
  const runs: Promise<void>[] = [];
  using judges = new JudgePool(options.slots?.count ?? 1, plans[0]?.request.signal);
  try {
    for (const plan of plans) {
      const turn = order.turn();
      const prepared = await preparePlanned(plan);
      const { name } = prepared.platform;
      const heading = { how: prepared.notes.join("; "), inTurn: turn.do };
      report.beginPlatform({ ...prepared, name, kernelOptions }, heading);
      const rest = report.rest(name, scenariosOf(name));
      const times = timesOf(history, name);
      const run = runPlatform(prepared, rest, reportInTurn(report, turn), {
        ...options,
        ...{ times, judge: judges.judge },
        ...runnerOf(prepared),
      })
        .finally(turn.end);
      // Awaited below: the next kernel may take minutes until then.
      run.catch(() => {});
      runs.push(run);
    }
  } finally {
    // One that fails does not leave the others' guests behind.
    await Promise.allSettled(runs);
    order.endAll();
  }
  await Promise.all(runs);
}

function reportInTurn(report: RunReport, { do: inTurn }: Turn): RunObserver {
  return {
    directory: report.directory,
    guest: (guest) => report.guest(guest),
    starting: (...args) => report.starting(...args),
    note: (line) => inTurn(() => report.note(line)),
    result: (platform, result) => inTurn(() => report.result(platform, result)),
  };
}
