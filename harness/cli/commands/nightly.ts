// SPDX-License-Identifier: MIT

import { join, resolve } from "@std/path";
import { cacheDirectory } from "../../../vm/host/cache_directory.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS, throwIfInterrupted } from "../../../vm/host/errors.ts";
import { formatBytes, parseBytes, parseSeconds } from "../../run/quantity.ts";
import { History } from "../../nightly/history/history.ts";
import { newestBelow, stateDirectory } from "../../nightly/run/state_directory.ts";
import { CKPTEST_RUNNER } from "../../nightly/run/job_runner.ts";
import { readDurations } from "../../nightly/plan/job_durations.ts";
import { exitStatusOfNightly, printNightly, printPlan } from "../../nightly/nightly_summary.ts";
import { onInterrupt } from "../../run/on_interrupt.ts";
import { checkScenarios } from "../../nightly/plan/check_scenarios.ts";
import { planRun } from "../../nightly/plan/plan_run.ts";
import { pruneOld } from "../../nightly/run/prune_old.ts";
import { DEFAULT_MATRIX } from "../../nightly/plan/matrix.ts";
import { runNightly } from "../../nightly/run/run_nightly.ts";
import { parseShard } from "../../nightly/plan/shard_jobs.ts";
import { writePage } from "../../report/write_page.ts";
import type { ParsedOptions } from "../parse_options.ts";
import { FILTER_OPTION } from "../shared_options.ts";
import { readCatalogue } from "../../run/catalogue.ts";
import { Terminal } from "../../report/terminal.ts";

const KEEP_DAYS = 30;
const KEEP_BYTES = 20 * 2 ** 30;
/** The history is small: it outlives the files. */
const HISTORY_DAYS = 400;

/** `nightly`: a matrix of suites and kernels, compared with the runs before. */
export const nightlyCommand: Command = {
  usage: [
    "nightly [--matrix FILE] [--only TEXT]... [--shard I/N] [--budget TIME] [--resume] [--out DIR]",
    "run suites over kernels, architectures and flavours, and say what is not as it was",
  ],
  options: {
    matrix: ["FILE", "what to run; fixtures/nightly.json by default"],
    only: ["TEXT...", "only jobs whose name contains TEXT"],
    ...FILTER_OPTION,
    list: "print the jobs, with what is known of each, and run none",
    shard: ["I/N", "only the I-th of N parts of about the same duration"],
    durations: [
      "FILE",
      "the nightly.json, or the durations.json of ckptest slurm, whose durations shards are cut by",
    ],
    budget: ["TIME", "start no job that would end later than that, such as 90min or 2h"],
    jobs: ["N", "processes side by side; as many as there are processors by default"],
    resume: "go on with an interrupted run: finished jobs are kept",
    wait: "wait when another run works in the directory",
    out: ["DIR", "where the results go; by default a new directory, or with --resume the last one"],
    history: ["FILE", "the history; history.sqlite in the state directory by default"],
    "keep-days": ["N", `remove older runs, logs, kernels and trees; ${KEEP_DAYS} by default`],
    "keep-bytes": ["SIZE", `remove the oldest of them beyond that; 20G by default`],
    "keep-all": "remove nothing",
  },
  async run(options) {
    const budget = options.parsed("budget", parseSeconds, "a time such as 90min or 2h");
    const keep = keepOption(options);
    const shard = options.string("shard");
    const slots = options.number("jobs", { min: 1, max: 1024 }) ?? navigator.hardwareConcurrency;
    const terminal = new Terminal();
    const begin = performance.now();
    using history = await History.open(options.string("history") ?? join(stateDirectory(), "history.sqlite"));
    const { plan, durations } = await planRun({
      matrixPath: options.string("matrix") ?? DEFAULT_MATRIX,
      only: options.list("only"),
      filter: options.list("filter"),
      shard: shard === undefined ? undefined : parseShard(shard),
      shardDurations: await readDurations(options.string("durations")),
      history,
    });
    if (options.flag("list")) {
      printPlan(plan, durations, terminal);
      return EXIT_STATUS.pass;
    }
    await checkScenarios(plan, await readCatalogue());
    const runs = join(stateDirectory(), "nightly");
    const out = options.string("out");
    const resume = options.flag("resume");
    const directory = out !== undefined
      ? resolve(out)
      : resume
      ? await newestBelow(runs, "nightly run")
      : join(runs, plan.id);
    terminal.result(
      `# ${plan.selected.length} of ${plan.jobs.length} jobs of ${plan.matrix.path}, to ${directory}`,
    );
    using interrupt = onInterrupt(terminal);
    const result = await runNightly({
      ...{ plan, directory, resume, history, terminal, slots, durations, budgetSeconds: budget },
      ...{ runner: CKPTEST_RUNNER, wait: options.flag("wait") },
      planSeconds: (performance.now() - begin) / 1000,
      signal: interrupt.signal,
    });
    const page = await writePage(directory, terminal);
    if (keep && !interrupt.signal.aborted) {
      history.forget(HISTORY_DAYS);
      const dirs = { stateDir: stateDirectory(), cacheDir: cacheDirectory() };
      const pruned = await pruneOld({ ...dirs, ...keep, spare: [directory] });
      if (pruned.entries > 0) {
        terminal.note(
          `removed ${pruned.entries} old runs, kernels and trees (${formatBytes(pruned.bytes)})`,
        );
      }
    }
    const given = options.args.filter((arg) => arg !== "--resume");
    const place = out === undefined ? ["--out", directory] : [];
    const again = shellJoin(["deno", "task", "nightly", ...given, ...place, "--resume"]);
    printNightly(result, { directory, terminal, resume: again, page });
    throwIfInterrupted(interrupt.signal);
    return exitStatusOfNightly(result);
  },
};

function keepOption(options: ParsedOptions): { keepDays: number; keepBytes: number } | undefined {
  const keepDays = options.number("keep-days", { min: 1, max: 36_500 }) ?? KEEP_DAYS;
  const keepBytes = options.parsed("keep-bytes", parseBytes, "a size such as 500M or 20G") ?? KEEP_BYTES;
  return options.flag("keep-all") ? undefined : { keepDays, keepBytes };
}
