// SPDX-License-Identifier: MIT

import { digestOf } from "../../../vm/host/digest.ts";
import type { History } from "../history/history.ts";
import { recordedDurations, type Shard, shardJobs } from "./job_durations.ts";
import { projectRevision } from "./harness_digest.ts";
import { planJobs } from "./plan_jobs.ts";
import { type NightlyPlan, PLAN_SCHEMA, type PlannedJob } from "../nightly_result.ts";
import { DEFAULT_MATRIX, jobsAskedFor, readMatrix } from "./matrix.ts";
import { DEFAULT_SERIES, PORTED_SERIES } from "../../../lib/abi/series.ts";
import type { Scenario } from "../../../lib/model/scenario.ts";
import { faultScenarios } from "../../faults/sweep_faults.ts";
import { compileCatalogue, filterByName } from "../../run/catalogue.ts";
import { compileTargetOf } from "../../run/guest/guest_programs.ts";
import { parsePlatforms } from "../../run/platform.ts";

/** What {@linkcode planRun} takes. */
export interface PlanRunOptions {
  readonly matrixPath: string;
  /** Only jobs whose name contains one of these; all when there are none. */
  readonly only: readonly string[];
  /** Only scenarios whose name contains one of these. */
  readonly filter: readonly string[];
  readonly shard: Shard | undefined;
  /** Seconds by name of job that shards are cut by, in place of the history's. */
  readonly shardDurations: ReadonlyMap<string, number> | undefined;
  readonly history: History;
}

/**
 * Plans a nightly run.
 *
 * @throws {UsageError} when the matrix has a mistake, or no job's name fits `only`
 */
export async function planRun(
  options: PlanRunOptions,
): Promise<{ plan: NightlyPlan; durations: ReadonlyMap<string, number> }> {
  const { only, filter, shard, history, shardDurations } = options;
  const matrix = await readMatrix(options.matrixPath);
  const requests = jobsAskedFor(matrix, { only, filter });
  const { jobs, inputs } = await planJobs(requests, [
    ...options.matrixPath === DEFAULT_MATRIX ? [] : ["--matrix", options.matrixPath],
    ...filter.flatMap((text) => ["--filter", text]),
  ]);
  const planned = jobs.map(({ name }) => name);
  const durations = new Map([...shardDurations ?? [], ...recordedDurations(history, planned)]);
  const started = new Date().toISOString();
  const random = crypto.getRandomValues(new Uint8Array(3)).toHex();
  const id = `${started.slice(0, 19).replaceAll(/[-:]/g, "")}-${random}`;
  const about = { path: matrix.path, digest: matrix.digest };
  const whole = only.length === 0 && filter.length === 0 && shard === undefined;
  const revision = await projectRevision();
  const plan = { schema: PLAN_SCHEMA, id, started, matrix: about, whole, jobs, inputs, revision } as const;
  if (!shard) return { plan: { ...plan, selected: planned }, durations };
  const key = await digestOf([matrix.digest, String(shard.of), ...planned], 32);
  const cutBy = shardDurations ?? history.shardDurations(key, durations);
  const mine = new Set(shardJobs(planned, cutBy, shard.of)[shard.index - 1]);
  return { plan: { ...plan, shard, selected: planned.filter((name) => mine.has(name)) }, durations };
}

/**
 * Reads and compiles the scenarios of all jobs that are to run, for each platform, so that a mistake is told before
 * anything is built. What a kernel of the user's brings in differences shows when its job runs.
 *
 * @throws {ExpectedError} naming the file and the step of each mistake
 */
export async function checkScenarios(
  plan: Pick<NightlyPlan, "jobs" | "selected">,
  catalogue: readonly Scenario[],
): Promise<void> {
  const wanted = new Map<string, Set<Scenario>>();
  for (const job of plan.jobs.filter(({ name }) => plan.selected.includes(name))) {
    for (const scenario of scenariosOf(job, catalogue)) {
      const series = PORTED_SERIES.find((known) => optionsOf(job, "--series").includes(known)) ??
        DEFAULT_SERIES;
      const platform = `${job.platform}@${series}`;
      wanted.set(platform, (wanted.get(platform) ?? new Set()).add(scenario));
    }
  }
  for (const [name, scenarios] of wanted) {
    const platform = parsePlatforms({ arch: name, fallback: name })[0]!;
    compileCatalogue([...scenarios], { platform, target: await compileTargetOf(platform), self: false });
  }
}

function scenariosOf(job: PlannedJob, catalogue: readonly Scenario[]): readonly Scenario[] {
  if (job.suiteKind !== "catalogue" && job.suiteKind !== "faults") return [];
  const filters = optionsOf(job, "--filter");
  if (filters.length > 0 || job.suiteKind === "catalogue") return filterByName(catalogue, filters);
  return faultScenarios(catalogue);
}

function optionsOf({ command }: PlannedJob, name: string): string[] {
  if (command.kind !== "ckptest") return [];
  return command.args.filter((_, at) => command.args[at - 1] === name);
}
