// SPDX-License-Identifier: MIT

import { dirname, join } from "@std/path";
import { UsageError } from "../../../vm/host/errors.ts";
import { removeIfThere } from "../../../vm/host/ignore_missing.ts";
import { readVersioned } from "../../../vm/host/versioned_json.ts";
import { writeJson } from "../../../vm/host/write_whole.ts";
import { RUN_RESULT_FORMAT } from "../../run/run_result.ts";
import {
  NIGHTLY_JOB,
  NIGHTLY_RESULT_FORMAT,
  type NightlyJob,
  type NightlyPlan,
  type NightlyResult,
  PLAN_FORMAT,
} from "../nightly_result.ts";

/** The file of the page for people. */
export const PAGE = "report.html";

/**
 * The directory of a nightly run: `plan.json`, `jobs/NAME/` of each finished job, `builds/KEY.log`, and at the end
 * `nightly.json` and the page. A job's directory gets its name when all is in it: what has the name of a job is
 * finished.
 */
export class RunDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Where a job of this name lies, from the directory of the run. */
  static filesOf(name: string): string {
    return `jobs/${name}`;
  }

  /** What a nightly run that was interrupted has planned; undefined when there is none. */
  async readPlan(): Promise<NightlyPlan | undefined> {
    return await readVersioned(join(this.path, "plan.json"), PLAN_FORMAT);
  }

  async writePlan(plan: NightlyPlan): Promise<void> {
    await Deno.mkdir(this.path, { recursive: true });
    await writeJson(join(this.path, "plan.json"), plan);
  }

  async readResult(): Promise<NightlyResult | undefined> {
    return await readVersioned(join(this.path, "nightly.json"), NIGHTLY_RESULT_FORMAT);
  }

  async writeResult(result: NightlyResult): Promise<void> {
    await removeIfThere(join(this.path, "partial"));
    await writeJson(join(this.path, "nightly.json"), result);
  }

  /** Removes the result of an earlier part of the run, and what unfinished jobs left. */
  async removeUnfinished(): Promise<void> {
    for (const name of ["nightly.json", PAGE, "partial"]) await removeIfThere(join(this.path, name));
  }

  /** The file for what the build of a kernel writes, from the directory of the run. */
  async buildLog(key: string): Promise<string> {
    await Deno.mkdir(join(this.path, "builds"), { recursive: true });
    const log = `builds/${key}.log`;
    for (const old of [log, `builds/${key}.json`]) await removeIfThere(join(this.path, old));
    return log;
  }

  async beginJob(name: string): Promise<string> {
    const partial = this.#partial(name);
    await removeIfThere(partial);
    await Deno.mkdir(partial, { recursive: true });
    return partial;
  }

  async dropJob(name: string): Promise<void> {
    await removeIfThere(this.#partial(name));
  }

  async finishJob(job: NightlyJob): Promise<void> {
    const partial = this.#partial(job.name);
    const { run: _inItsOwnFile, ...rest } = job;
    await Deno.mkdir(partial, { recursive: true });
    await writeJson(join(partial, "job.json"), rest);
    const path = join(this.path, RunDirectory.filesOf(job.name));
    await Deno.mkdir(dirname(path), { recursive: true });
    await removeIfThere(path);
    await Deno.rename(partial, path);
  }

  async readJob(name: string): Promise<NightlyJob | undefined> {
    const directory = join(this.path, RunDirectory.filesOf(name));
    const job = await readVersioned(join(directory, "job.json"), { schema: NIGHTLY_JOB });
    // What a job left that crashed is nothing to go by.
    const run = await readVersioned(join(directory, "results.json"), RUN_RESULT_FORMAT).catch((error) => {
      if (!(error instanceof UsageError)) throw error;
    });
    return job && run ? { ...job, run } : job;
  }

  #partial(name: string): string {
    return join(this.path, "partial", name.replaceAll("/", "_"));
  }
}
