// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { expandMatrix } from "../../nightly/plan/expand_matrix.ts";
import { History } from "../../nightly/history/history.ts";
import { readDurations, recordedDurations } from "../../nightly/plan/job_durations.ts";
import { parseSeconds } from "../../nightly/plan/parse_quantity.ts";
import { DEFAULT_MATRIX, readMatrix } from "../../nightly/plan/matrix.ts";
import { arrayArguments, mergeArguments, submitNight } from "../../nightly/slurm/submit_nightly.ts";
import { stateDirectory } from "../../nightly/run/state_directory.ts";
import type { ParsedOptions } from "../parse_options.ts";
import { FILTER_OPTION } from "../shared_options.ts";
import { Terminal } from "../../report/terminal.ts";

const RESTARTS = 5;

/** `slurm`: a night as jobs of a Slurm cluster. */
export const slurmCommand: Command = {
  usage: [
    "slurm --shards N --out DIR [--matrix FILE] [--only TEXT]... [--sbatch OPTION]... [--resume]",
    "queue a night on a Slurm cluster: an array of shards, and a job that merges them",
  ],
  options: {
    shards: { value: "N", help: "into how many parts of about the same duration the night is cut" },
    out: { value: "DIR", help: "where shards, logs and the merged night go; all nodes must see it" },
    matrix: { value: "FILE", help: "what to run; fixtures/nightly.json by default" },
    only: { value: "TEXT", many: true, help: "only jobs whose name contains TEXT" },
    ...FILTER_OPTION,
    budget: { value: "TIME", help: "each shard starts no job that would end later than that" },
    sbatch: { value: "OPTION", many: true, help: "an option of sbatch, as in --sbatch=--partition=night" },
    "shard-sbatch": {
      value: "OPTION",
      many: true,
      help: "the same for the shards alone, as in --shard-sbatch=--cpus-per-task=8",
    },
    restarts: { value: "N", help: `how often a shard goes on after its time limit; ${RESTARTS} by default` },
    cache: {
      value: "DIR",
      help: "the XDG_CACHE_HOME of the jobs, on all nodes or on each; by default that of here",
    },
    history: {
      value: "FILE",
      help: "the history to compare with and to add to; history.sqlite in the state directory",
    },
    durations: {
      value: "FILE",
      help: "the nightly.json whose durations shards are cut by, in place of the history",
    },
    resume: { help: "queue a night of DIR again: finished jobs are kept" },
    print: { help: "print the commands, and queue nothing" },
  },
  async run(options) {
    const shards = options.number("shards", { min: 1, max: 9999 });
    const out = options.string("out");
    if (shards === undefined) throw new UsageError("slurm needs --shards N");
    if (out === undefined) throw new UsageError("slurm needs --out DIR");
    const history = resolve(options.string("history") ?? join(stateDirectory(), "history.sqlite"));
    const cache = options.string("cache");
    const night = {
      ...{ shards, history, directory: resolve(out), durations: await durationsOf(options, history) },
      ...{ nightly: jobOptions(options), running: runningOptions(options) },
      ...{ sbatch: options.list("sbatch"), shardSbatch: options.list("shard-sbatch") },
      ...{ resume: options.flag("resume"), cache: cache === undefined ? undefined : resolve(cache) },
      restarts: options.number("restarts", { min: 0, max: 1000 }) ?? RESTARTS,
    };
    const terminal = new Terminal();
    if (options.flag("print")) {
      terminal.result(shellJoin(["sbatch", ...arrayArguments(night)]));
      terminal.result(shellJoin(["sbatch", ...mergeArguments(night, "ARRAY")]));
      return EXIT_STATUS.pass;
    }
    const { array, merge } = await submitNight(night);
    terminal.result(`shards: job ${array}, tasks 1 to ${shards}; logs: ${join(night.directory, "logs")}`);
    terminal.result(`merge: job ${merge}, after them; its night: ${join(night.directory, "night")}`);
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

function runningOptions(options: ParsedOptions): string[] {
  const budget = options.string("budget");
  if (budget !== undefined && parseSeconds(budget) === undefined) {
    throw new UsageError(`option --budget takes a time such as 90min or 2h: found "${budget}"`);
  }
  return budget === undefined ? [] : ["--budget", budget];
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
