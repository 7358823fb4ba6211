// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { cacheDirectory, newestBelow, stateDirectory } from "../../../vm/host/own_directories.ts";
import { ownCommand } from "../../../vm/host/own_command.ts";
import { EXIT_STATUS, throwIfInterrupted } from "../../../vm/host/errors.ts";
import { formatBytes } from "../../run/quantity.ts";
import { History } from "../../nightly/history/history.ts";
import { CKPTEST_RUNNER } from "../../nightly/run/judge_job.ts";
import { parseShard, readDurations } from "../../nightly/plan/job_durations.ts";
import { exitStatusOfNightly, printNightly, printPlan } from "../../nightly/nightly_summary.ts";
import { checkScenarios, planRun } from "../../nightly/plan/plan_run.ts";
import { pruneOld } from "../../nightly/run/prune_old.ts";
import { DEFAULT_MATRIX } from "../../nightly/plan/matrix.ts";
import { runNightly } from "../../nightly/run/run_nightly.ts";
import { writePage } from "../../report/html_report.ts";
import { type Command, defineCommand, flag, kindOf, SIZE, TIME, value, wholeNumber } from "../options.ts";
import { argsToResume, MATRIX_OPTIONS, QUIET_OPTION } from "../shared_options.ts";
import { readCatalogue } from "../../run/catalogue.ts";

const KEEP_DAYS = 30;
const KEEP_BYTES = 20 * 2 ** 30;
/** The history is small: it outlives the files. */
const HISTORY_DAYS = 400;

const SHARD = kindOf({ metavar: "I/N", what: "I/N, from 1/N to N/N", parse: parseShard });

/** `nightly`: a matrix of suites and kernels, compared with the runs before. */
export const nightlyCommand: Command = defineCommand({
  ...MATRIX_OPTIONS,
  list: flag("print the jobs, with what is known of each, and run none"),
  shard: value(SHARD, "only the I-th of N parts of about the same duration"),
  durations: value("FILE", "the nightly.json or durations.json whose durations shards are cut by"),
  budget: value(TIME, "start no job that would end later than that, such as 90min or 2h"),
  jobs: value(wholeNumber(1, 1024), "processes side by side; as many as there are processors by default"),
  resume: flag("go on with an interrupted run: finished jobs are kept"),
  wait: flag("wait when another run works in the directory"),
  out: value("DIR", "where the results go; by default a new directory, or with --resume the last one"),
  history: value("FILE", "the history; history.sqlite in the state directory by default"),
  keepDays: value(
    wholeNumber(1, 36_500),
    `remove runs, kernels and trees older than that; ${KEEP_DAYS} by default`,
  ),
  keepBytes: value(SIZE, `remove the oldest of them beyond that; 20G by default`),
  keepAll: flag("remove nothing"),
  ...QUIET_OPTION,
}, {
  about: "run suites over kernels, architectures and flavours, and say what is not as it was",
  async run(options, { args, terminal, signal }) {
    const { matrix = DEFAULT_MATRIX, only, filter, shard, out, resume, wait, budget: budgetSeconds } =
      options;
    const { keepDays = KEEP_DAYS, keepBytes = KEEP_BYTES } = options;
    const slots = options.jobs ?? navigator.hardwareConcurrency;
    const begin = performance.now();
    using history = await History.open(options.history ?? join(stateDirectory(), "history.sqlite"));
    const { plan, durations } = await planRun({
      ...{ matrixPath: matrix, only, filter, shard },
      shardDurations: await readDurations(options.durations),
      history,
    });
    if (options.list) {
      printPlan(plan, durations, terminal);
      return EXIT_STATUS.pass;
    }
    await checkScenarios(plan, await readCatalogue());
    const runs = join(stateDirectory(), "nightly");
    const directory = out ?? (resume ? await newestBelow(runs, "nightly run") : join(runs, plan.id));
    const heading =
      `# ${plan.selected.length} of ${plan.jobs.length} jobs of ${plan.matrix.path}, to ${directory}`;
    if (!options.quiet) terminal.result(heading);
    const result = await runNightly({
      ...{ plan, directory, resume, history, terminal, slots, durations, budgetSeconds },
      ...{ runner: CKPTEST_RUNNER, wait, signal },
      planSeconds: (performance.now() - begin) / 1000,
    });
    const page = await writePage(directory, terminal);
    if (!options.keepAll && !signal.aborted) {
      history.forget(HISTORY_DAYS);
      const dirs = { stateDir: stateDirectory(), cacheDir: cacheDirectory() };
      const pruned = await pruneOld({ ...dirs, keepDays, keepBytes, spare: [directory] });
      if (pruned.entries > 0) {
        terminal.note(
          `removed ${pruned.entries} old runs, kernels and trees (${formatBytes(pruned.bytes)})`,
        );
      }
    }
    const again = ownCommand(["nightly", ...argsToResume(args), "--out", directory, "--resume"]);
    printNightly(result, { directory, terminal, resume: again, page });
    throwIfInterrupted(signal);
    return exitStatusOfNightly(result);
  },
});
