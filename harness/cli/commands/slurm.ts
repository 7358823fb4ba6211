// SPDX-License-Identifier: MIT

import { stateDirectory } from "../../../vm/host/own_directories.ts";
import { join } from "@std/path";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { History } from "../../nightly/history/history.ts";
import { readDurations, recordedDurations } from "../../nightly/plan/job_durations.ts";
import { DEFAULT_MATRIX, jobsAskedFor, readMatrix } from "../../nightly/plan/matrix.ts";
import { arrayArguments, mergeArguments, submitNightly } from "../../nightly/slurm/submit_nightly.ts";
import {
  type Command,
  defineCommand,
  flag,
  optionArgs,
  required,
  TIME,
  value,
  values,
  wholeNumber,
} from "../options.ts";
import { MATRIX_OPTIONS } from "../shared_options.ts";

const RESTARTS = 5;

/** `slurm`: a nightly run as jobs of a Slurm cluster. */
export const slurmCommand: Command = defineCommand({
  shards: required(wholeNumber(1, 9999), "into how many parts of about the same duration the run is cut"),
  out: required("DIR", "where shards, logs and the merged nightly run go; all nodes must see it"),
  ...MATRIX_OPTIONS,
  budget: value(TIME, "each shard starts no job that would end later than that"),
  sbatch: values("OPTION", "an option of sbatch, as in --sbatch=--partition=long"),
  shardSbatch: values("OPTION", "the same for shards alone, as in --shard-sbatch=--cpus-per-task=8"),
  restarts: value(wholeNumber(0, 1000), `restarts of a shard after its time limit; ${RESTARTS} by default`),
  cache: value("DIR", "the XDG_CACHE_HOME of the jobs, on all nodes or on each; by default that of here"),
  history: value("FILE", "the history to compare with and to add to; history.sqlite in the state directory"),
  durations: value("FILE", "the nightly.json whose durations shards are cut by, in place of the history"),
  resume: flag("queue a nightly run of DIR again: finished jobs are kept"),
  print: flag("print the commands, and queue nothing"),
}, {
  about: "queue a nightly run on a Slurm cluster: an array of shards, and a job that merges them",
  async run(options, { terminal }) {
    const { shards, out: directory, budget, sbatch, shardSbatch, cache, resume, restarts = RESTARTS } =
      options;
    const { history = join(stateDirectory(), "history.sqlite"), only, filter } = options;
    const matrix = await readMatrix(options.matrix ?? DEFAULT_MATRIX);
    // Read here, so that a mistake is told now and not by each shard.
    const names = jobsAskedFor(matrix, { only, filter }).map(({ name }) => name);
    using past = await History.open(history);
    const run = {
      ...{ shards, history, directory, sbatch, shardSbatch, resume, cache, restarts },
      durations: await readDurations(options.durations) ?? recordedDurations(past, names),
      nightly: optionArgs(options, MATRIX_OPTIONS),
      running: budget === undefined ? [] : ["--budget", `${budget}s`],
    };
    if (options.print) {
      const commands = [arrayArguments(run), mergeArguments(run, "ARRAY")];
      for (const args of commands) terminal.result(shellJoin(["sbatch", ...args]));
      return EXIT_STATUS.pass;
    }
    const { array, merge } = await submitNightly(run);
    terminal.result(`shards: job ${array}, tasks 1 to ${shards}; logs: ${join(run.directory, "logs")}`);
    terminal.result(`merge: job ${merge}, after them; its result: ${join(run.directory, "merged")}`);
    return EXIT_STATUS.pass;
  },
});
