// SPDX-License-Identifier: MIT

import { cp } from "node:fs/promises";
import { exists } from "@std/fs";
import { dirname, join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { makeDirectory } from "../../vm/host/temp_directory.ts";
import {
  endedJob,
  type NightlyJob,
  type NightlyPlan,
  type NightlyResult,
  type NightlyRun,
  type PlannedJob,
} from "./nightly_result.ts";
import { buildNightlyResult } from "./build_nightly_result.ts";
import { type History, mergedScenarios } from "./history/history.ts";
import { RunDirectory } from "./run/run_directory.ts";

interface Part {
  readonly path: string;
  readonly directory: RunDirectory;
  readonly plan: NightlyPlan;
  readonly result: NightlyResult | undefined;
  readonly jobs: ReadonlyMap<string, NightlyJob>;
}

/**
 * Makes one nightly run of several. A job that is there twice with the same outcome counts once; with another outcome
 * or other contents it fails as a conflict. A job of a plan that is nowhere is missing.
 *
 * @param options `directories`: of nightly runs, shards, whole ones, some that were cut short
 * @throws {UsageError} when a directory is no nightly run, or `out` holds something
 */
export async function mergeRuns(
  { directories, out, history }: { directories: readonly string[]; out: string; history: History },
): Promise<NightlyResult> {
  const parts = await Promise.all(directories.map(readPart));
  parts.sort((a, b) => a.plan.started < b.plan.started ? -1 : a.plan.started > b.plan.started ? 1 : 0);
  const [first] = parts;
  if (!first) throw new UsageError("merge needs the directories of at least one nightly run");
  checkPlans(parts);
  await makeDirectory(out, "the merge");
  for await (const { name } of Deno.readDir(out)) {
    throw new UsageError(`--out takes an empty directory or a new one: ${out} holds ${name}`);
  }
  const planned = new Map<string, PlannedJob>();
  for (const { plan } of parts) {
    for (const job of plan.jobs) if (!planned.has(job.name)) planned.set(job.name, job);
  }
  const jobs: NightlyJob[] = [];
  for (const job of planned.values()) jobs.push(await mergeJob(job, parts, out));
  // They may have run on another machine; what the history has it gets once.
  for (const { plan, jobs, result } of parts) {
    history.beginRun(plan);
    for (const job of jobs.values()) history.recordJob(plan.id, job);
    if (result) history.endRun(plan.id, result.run);
  }
  const missing = jobs.filter(({ status }) => status === "missing").length;
  const run: NightlyRun = {
    id: `${first.plan.id}-merged`,
    started: first.plan.started,
    milliseconds: Math.max(...parts.map(({ result }) => result?.run.milliseconds ?? 0)),
    matrix: first.plan.matrix,
    merged: parts.map(({ path }) => path),
    complete: missing === 0,
    stopped: missing === 0 ? undefined : `${missing} jobs are in none of the directories`,
    spent: sumSpent(parts),
  };
  const result = await buildNightlyResult({
    ...{ run, jobs, history, wholeMatrix: false },
    own: [...parts.map(({ plan }) => plan.id), run.id],
  });
  const directory = new RunDirectory(out);
  const { shard: _ofOnePart, ...plan } = first.plan;
  await directory.writePlan({
    ...plan,
    whole: false,
    id: run.id,
    jobs: [...planned.values()],
    selected: [...planned.keys()],
  });
  await directory.writeResult(result);
  return result;
}

async function readPart(path: string): Promise<Part> {
  const directory = new RunDirectory(path);
  const plan = await directory.readPlan();
  if (!plan) throw new UsageError(`${path} is no directory of a nightly run: expected a plan.json in it`);
  const jobs = new Map<string, NightlyJob>();
  for (const name of plan.selected) {
    const job = await directory.readJob(name);
    if (job) jobs.set(name, job);
  }
  // A merge of merges has conflicts and such in its result alone.
  const result = await directory.readResult();
  return { path, directory, plan, result, jobs };
}

/** Parts of different matrices, or of shards that were cut otherwise, have little to do with each other. */
function checkPlans(parts: readonly Part[]): void {
  const [first, ...others] = parts;
  const namesOf = ({ plan }: Part): string => plan.jobs.map(({ name }) => name).sort().join("\n");
  for (const other of others) {
    if (other.plan.matrix.digest !== first!.plan.matrix.digest || namesOf(other) !== namesOf(first!)) {
      throw new UsageError(
        `${other.path} and ${
          first!.path
        } are of different plans: merge takes parts of one matrix with the same --only`,
      );
    }
  }
}

async function mergeJob(job: PlannedJob, parts: readonly Part[], out: string): Promise<NightlyJob> {
  const found = parts.flatMap((part) => {
    const result = part.jobs.get(job.name);
    return result ? [{ part, result }] : [];
  });
  const [first, ...others] = found;
  if (!first) return endedJob(job, { status: "missing", reason: reasonOfMissing(job.name, parts) });
  await copyJob(first.part.path, out, job.name);
  const other = others.find(({ result }) => difference(first.result, result) !== undefined);
  if (!other) return first.result;
  const what = difference(first.result, other.result);
  const reason = `${first.part.path} and ${other.part.path} disagree: ${what}`;
  const logTail = found.map(({ part, result }) => `${part.path}: ${outcomeText(result)}`);
  const { files, seconds, run } = first.result;
  const failure = { kind: "merge conflict", logTail } as const;
  return endedJob(job, { status: "fail", reason, failure, seconds, files, run });
}

async function copyJob(from: string, out: string, name: string): Promise<void> {
  const files = RunDirectory.filesOf(name);
  await Deno.mkdir(dirname(join(out, files)), { recursive: true });
  await cp(join(from, files), join(out, files), { recursive: true, verbatimSymlinks: true });
  const builds = join(from, "builds");
  if (await exists(builds)) {
    await cp(builds, join(out, "builds"), { recursive: true, verbatimSymlinks: true });
  }
}

function reasonOfMissing(name: string, parts: readonly Part[]): string {
  const part = parts.find(({ plan }) => plan.selected.includes(name));
  if (part) {
    const known = part.result?.jobs.find((job) => job.name === name)?.reason;
    return `${part.path} has not finished it${known ? `: ${known}` : ""}`;
  }
  const of = parts.find(({ plan }) => plan.shard)?.plan.shard?.of ?? 1;
  const here = new Set(parts.map(({ plan }) => plan.shard?.index));
  const absent = Array.from({ length: of }, (_, index) => index + 1).filter((index) => !here.has(index));
  return absent.length > 0
    ? `of shard ${absent.map((index) => `${index}/${of}`).join(" or ")}, which is not here`
    : "no shard had it: they were not cut by the same durations";
}

function outcomeText({ status, failure }: NightlyJob): string {
  return failure ? `${status} (${failure.kind})` : status;
}

/** In what two runs of a job differ; undefined when in nothing but times. */
function difference(a: NightlyJob, b: NightlyJob): string | undefined {
  if (a.digest !== b.digest) return "they ran different contents (digests)";
  if (outcomeText(a) !== outcomeText(b)) return `${outcomeText(a)}, ${outcomeText(b)}`;
  const outcomes = (job: NightlyJob): Set<string> =>
    new Set(mergedScenarios(job).map(({ scenario, status }) => `${scenario} ${status}`));
  const differing = [...outcomes(a).symmetricDifference(outcomes(b))].map((text) => text.split(" ")[0]);
  return differing.length === 0 ? undefined : `scenarios ${[...new Set(differing)].join(", ")}`;
}

function sumSpent(parts: readonly Part[]): Record<string, number> {
  const spent: Record<string, number> = {};
  for (const { result } of parts) {
    for (const [name, seconds] of Object.entries(result?.run.spent ?? {})) {
      spent[name] = Math.round(((spent[name] ?? 0) + seconds) * 10) / 10;
    }
  }
  return spent;
}
