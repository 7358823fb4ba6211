// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { expandMatrix } from "../../nightly/plan/expand_matrix.ts";
import { History } from "../../nightly/history/history.ts";
import { readDurations, recordedDurations } from "../../nightly/plan/job_durations.ts";
import { parseSeconds } from "../../run/quantity.ts";
import { DEFAULT_MATRIX, readMatrix } from "../../nightly/plan/matrix.ts";
import { arrayArguments, mergeArguments, submitNightly } from "../../nightly/slurm/submit_nightly.ts";
import { stateDirectory } from "../../nightly/run/state_directory.ts";
import type { ParsedOptions } from "../parse_options.ts";
import { FILTER_OPTION } from "../shared_options.ts";
import { Terminal } from "../../report/terminal.ts";

const RESTARTS = 5;

/** `slurm`: a nightly run as jobs of a Slurm cluster. */
export const slurmCommand: Command = {
  usage: [
    "slurm --shards N --out DIR [--matrix FILE] [--only TEXT]... [--sbatch OPTION]... [--resume]",
    "queue a nightly run on a Slurm cluster: an array of shards, and a job that merges them",
  ],
  options: {
    shards: ["N", "into how many parts of about the same duration the run is cut"],
    out: ["DIR", "where shards, logs and the merged nightly run go; all nodes must see it"],
    matrix: ["FILE", "what to run; fixtures/nightly.json by default"],
    only: ["TEXT...", "only jobs whose name contains TEXT"],
    ...FILTER_OPTION,
    budget: ["TIME", "each shard starts no job that would end later than that"],
    sbatch: ["OPTION...", "an option of sbatch, as in --sbatch=--partition=long"],
    "shard-sbatch": ["OPTION...", "the same for the shards alone, as in --shard-sbatch=--cpus-per-task=8"],
    restarts: ["N", `how often a shard goes on after its time limit; ${RESTARTS} by default`],
    cache: ["DIR", "the XDG_CACHE_HOME of the jobs, on all nodes or on each; by default that of here"],
    history: ["FILE", "the history to compare with and to add to; history.sqlite in the state directory"],
    durations: ["FILE", "the nightly.json whose durations shards are cut by, in place of the history"],
    resume: "queue a nightly run of DIR again: finished jobs are kept",
    print: "print the commands, and queue nothing",
  },
  async run(options) {
    options.required("shards");
    const shards = options.number("shards", { min: 1, max: 9999 })!;
    const out = options.required("out");
    const history = resolve(options.string("history") ?? join(stateDirectory(), "history.sqlite"));
    const cache = options.string("cache");
    options.parsed("budget", parseSeconds, "a time such as 90min or 2h");
    const budget = options.string("budget");
    const run = {
      ...{ shards, history, directory: resolve(out), durations: await durationsOf(options, history) },
      ...{ nightly: jobOptions(options), running: budget === undefined ? [] : ["--budget", budget] },
      ...{ sbatch: options.list("sbatch"), shardSbatch: options.list("shard-sbatch") },
      ...{ resume: options.flag("resume"), cache: cache === undefined ? undefined : resolve(cache) },
      restarts: options.number("restarts", { min: 0, max: 1000 }) ?? RESTARTS,
    };
    const terminal = new Terminal();
    if (options.flag("print")) {
      terminal.result(shellJoin(["sbatch", ...arrayArguments(run)]));
      terminal.result(shellJoin(["sbatch", ...mergeArguments(run, "ARRAY")]));
      return EXIT_STATUS.pass;
    }
    const { array, merge } = await submitNightly(run);
    terminal.result(`shards: job ${array}, tasks 1 to ${shards}; logs: ${join(run.directory, "logs")}`);
    terminal.result(`merge: job ${merge}, after them; its result: ${join(run.directory, "merged")}`);
    return EXIT_STATUS.pass;
  },
};

function jobOptions(options: ParsedOptions): string[] {
  const matrix = options.string("matrix");
  return [
    ...matrix === undefined ? [] : ["--matrix", resolve(matrix)],
    ...["only", "filter"].flatMap((name) => options.list(name).flatMap((text) => [`--${name}`, text])),
  ];
}

/** Reads matrix and history here, so that a mistake is told now and not by each shard. */
async function durationsOf(options: ParsedOptions, path: string): Promise<ReadonlyMap<string, number>> {
  const matrix = await readMatrix(options.string("matrix") ?? DEFAULT_MATRIX);
  const names = expandMatrix(matrix, options.list("filter")).map(({ name }) => name);
  const only = options.list("only");
  if (only.length > 0 && !names.some((name) => only.some((text) => name.includes(text)))) {
    throw new UsageError(`no job fits --only ${only.join(", ")}: ${names.join(", ")}`);
  }
  const given = await readDurations(options.string("durations"));
  if (given) return given;
  using history = await History.open(path);
  return recordedDurations(history, names);
}
