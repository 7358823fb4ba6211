// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import { findTool, MissingToolError } from "../../../vm/host/find_tool.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { ignoreMissing } from "../../../vm/host/ignore_missing.ts";
import { makeDirectory } from "../../../vm/host/temp_directory.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";
import { PROJECT_ROOT } from "../plan/harness_digest.ts";
import { DURATIONS_FILE, writeDurations } from "../plan/job_durations.ts";

/** A nightly run for a Slurm cluster. */
export interface SlurmRun {
  readonly directory: string;
  readonly shards: number;
  /** How often a shard that the time limit cuts short is queued again. */
  readonly restarts: number;
  /** Seconds by name of job that the shards are cut by. */
  readonly durations: ReadonlyMap<string, number>;
  /** Options of `nightly` that say which jobs there are. */
  readonly nightly: readonly string[];
  readonly running: readonly string[];
  /** The history that the merge compares with and adds to. */
  readonly history: string;
  /** Options of sbatch for the array and the merge. */
  readonly sbatch: readonly string[];
  /** Options of sbatch for the array alone. */
  readonly shardSbatch: readonly string[];
  /** `XDG_CACHE_HOME` of the jobs; that of the environment when undefined. */
  readonly cache?: string | undefined;
  readonly resume: boolean;
}

/** The file in the directory of the run that says how it was cut. */
const RUN_FILE = "slurm.json";
const SCRIPTS = import.meta.dirname ?? ".";
/** The checkout, without a slash at its end. */
const CHECKOUT = resolve(PROJECT_ROOT);

/**
 * Queues a nightly run: an array of shards, and the merge that waits for their end, however they end.
 *
 * @throws {UsageError} when the directory holds another nightly run, or sbatch refuses
 * @throws {MissingToolError} when there is no sbatch
 */
export async function submitNightly(run: SlurmRun): Promise<{ array: string; merge: string }> {
  if (await findTool("sbatch") === undefined) throw new MissingToolError(["sbatch"]);
  await prepareDirectory(run);
  const array = await sbatch(run, arrayArguments(run));
  const merge = await sbatch(run, mergeArguments(run, array));
  return { array, merge };
}

/** What sbatch is given for the array of shards. */
export function arrayArguments(run: SlurmRun): string[] {
  const { directory, shards, restarts, sbatch, shardSbatch, nightly, running } = run;
  return [
    ...["--parsable", `--array=1-${shards}`, `--output=${join(directory, "logs", "shard-%a.log")}`],
    ...sbatch,
    ...shardSbatch,
    ...[join(SCRIPTS, "shard.sbatch"), CHECKOUT, directory, String(shards), String(restarts)],
    ...nightly,
    ...running,
  ];
}

/** What sbatch is given for the merge. */
export function mergeArguments({ directory, sbatch, history }: SlurmRun, array: string): string[] {
  return [
    ...["--parsable", `--dependency=afterany:${array}`, `--output=${join(directory, "logs", "merge.log")}`],
    ...sbatch,
    ...[join(SCRIPTS, "merge.sbatch"), CHECKOUT, directory, "--history", history],
  ];
}

async function prepareDirectory(
  { directory, shards, nightly, durations, resume }: SlurmRun,
): Promise<void> {
  const path = join(directory, RUN_FILE);
  const cut = JSON.stringify({ schema: 1, shards, nightly }, null, 2);
  const before = await Deno.readTextFile(path).catch(ignoreMissing);
  if (before === undefined && resume) {
    throw new UsageError(`there is no nightly run to resume in ${directory}: it has no ${RUN_FILE}`);
  }
  if (before !== undefined && !resume) {
    throw new UsageError(
      `${directory} holds a nightly run: go on with it (--resume), or name another place (--out)`,
    );
  }
  if (before !== undefined && before.trim() !== cut) {
    throw new UsageError(
      `${path}: to resume takes the same shards and jobs: expected ${oneLine(before)}, ` +
        `found ${oneLine(cut)}`,
    );
  }
  await makeDirectory(join(directory, "logs"), "the run");
  // Shards that ran were cut by these: others would move the jobs of those that did not.
  if (before === undefined) await writeDurations(join(directory, DURATIONS_FILE), durations);
  await writeWhole(path, `${cut}\n`);
}

function oneLine(json: string): string {
  return json.replaceAll(/\s+/g, " ").trim();
}

/** Submits a job in our whole environment, which Slurm hands on unless an option says otherwise. */
async function sbatch({ cache }: SlurmRun, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("sbatch", {
    args: [...args],
    env: cache === undefined ? {} : { XDG_CACHE_HOME: cache },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  // With several clusters it is NUMBER;CLUSTER.
  const id = decoder.decode(stdout).trim().split(";")[0] ?? "";
  if (code !== 0 || !/^\d+$/.test(id)) {
    const how = code === 0 ? "sbatch told no number of a job" : `sbatch ended with status ${code}`;
    throw new UsageError(`${how}: ${decoder.decode(stderr).trim() || id}`);
  }
  return id;
}
