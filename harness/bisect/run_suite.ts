// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { ExpectedError, throwIfInterrupted } from "../../vm/host/errors.ts";
import { DISK_FULL_HINT, isDiskNearlyFull } from "../../vm/kernel/build/build_error.ts";
import { suiteCommand } from "../nightly/plan/plan_jobs.ts";
import { nameOfSuite } from "../nightly/plan/matrix.ts";
import type { JobRunner } from "../nightly/run/job_runner.ts";
import { endOfJob, JOB_LOG } from "../nightly/run/judge_job.ts";
import { JobTemp } from "../nightly/run/job_temp.ts";
import type { BisectRequest } from "./bisect_request.ts";
import type { RunOutcome } from "./bisect_state.ts";
import { outcomeOfRun, skippedRun } from "./run_outcome.ts";

interface RunSuiteOptions {
  readonly request: BisectRequest;
  readonly tree: string;
  readonly runner: JobRunner;
  readonly out: string;
  readonly signal: AbortSignal;
}

/**
 * Builds the kernel of a tree and runs the suite on it.
 *
 * @throws {InterruptedError} when the signal comes
 * @throws {ExpectedError} when it failed on a full disk
 */
export async function runSuite(options: RunSuiteOptions): Promise<RunOutcome> {
  const { request: { suite, platform, flavour, deadlineSeconds }, tree, runner, out, signal } = options;
  const command = suiteCommand(suite, platform, { flavour, options: ["--kernel-tree", tree] });
  // What failed is run again by us.
  const args = suite.kind === "catalogue" ? [...command.args, "--repeat", "0"] : command.args;
  await using temp = await JobTemp.make();
  const deadline = AbortSignal.timeout(deadlineSeconds * 1000);
  const end = await runner.run({ name: "bisect", command: { ...command, args } }, {
    ...{ out, logPath: join(out, JOB_LOG), outcomePath: join(out, "outcome.json"), tmp: temp.path },
    signal: AbortSignal.any([signal, deadline]),
  });
  throwIfInterrupted(signal);
  const hasResults = command.writesResults;
  const late = deadline.aborted;
  const { kind, reason = "", run } = await endOfJob(end, { out, hasResults, late, deadlineSeconds });
  const outcome = (): RunOutcome => {
    switch (kind) {
      case undefined:
      case "test":
      case "guest lost":
      case "nothing ran":
        if (run) return outcomeOfRun(run);
        break;
      case "build":
        return skippedRun("build", `does not build: ${reason}`);
      case "deadline":
        return skippedRun("deadline", reason);
      default:
        return skippedRun("other", reason);
    }
    // Random programs write no results: they count as one scenario.
    const scenario = nameOfSuite(suite);
    if (kind === undefined) return { passed: [scenario], skipped: [], failures: [] };
    if (kind !== "test") return skippedRun(kind, reason);
    const keys = new Set((end.outcome?.findings ?? []).map(({ key }) => key).filter((key) => key !== ""));
    return { passed: [], skipped: [], failures: [{ scenario, keys: [...keys], lost: false, text: reason }] };
  };
  const said = outcome();
  if (said.skip && await isDiskNearlyFull(out)) throw new ExpectedError(DISK_FULL_HINT);
  return said;
}
