// SPDX-License-Identifier: MIT

import { ensureDir, exists } from "@std/fs";
import { dirname, join } from "@std/path";
import { UsageError } from "../../../vm/host/errors.ts";
import type { NightlyJob, NightlyResult } from "../nightly_result.ts";
import { NIGHTLY_RESULT_SCHEMA } from "../nightly_result.ts";
import { writeWhole } from "../../../vm/host/write_whole.ts";
import { type NightlyPlan, PLAN_SCHEMA, type PlannedJob } from "../plan/planned_job.ts";
import { readRunResult } from "../../run/read_run_result.ts";

/** The file of the page for people. */
export const PAGE = "report.html";

/**
 * The directory of a night: `plan.json`, `jobs/NAME/` of each finished job, `builds/KEY.log`, and `nightly.json` and
 * the page at the end. A job's directory gets its name when all is in it: what bears the name of a job is finished.
 */
export class NightDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Where a job of this name lies, from the directory of the night. */
  static filesOf(name: string): string {
    return `jobs/${name}`;
  }

  /** What a night that was interrupted has planned; undefined when there is none. */
  async readPlan(): Promise<NightlyPlan | undefined> {
    const path = join(this.path, "plan.json");
    const plan = await readJson(path) as NightlyPlan | undefined;
    if (plan !== undefined && plan.schema !== PLAN_SCHEMA) {
      throw new UsageError(`${path}: expected a plan of schema ${PLAN_SCHEMA}, found ${plan.schema}`);
    }
    return plan;
  }

  async writePlan(plan: NightlyPlan): Promise<void> {
    await ensureDir(this.path);
    await this.#write("plan.json", plan);
  }

  async readResult(): Promise<NightlyResult | undefined> {
    const path = join(this.path, "nightly.json");
    const result = await readJson(path) as NightlyResult | undefined;
    if (result !== undefined && result.schema !== NIGHTLY_RESULT_SCHEMA) {
      throw new UsageError(`${path}: expected schema ${NIGHTLY_RESULT_SCHEMA}, found ${result.schema}`);
    }
    return result;
  }

  async writeResult(result: NightlyResult): Promise<void> {
    await Deno.remove(join(this.path, "partial"), { recursive: true }).catch(ignoreNotFound);
    await this.#write("nightly.json", result);
  }

  /** Removes the result of an earlier part of the night, and what unfinished jobs left. */
  async removeUnfinished(): Promise<void> {
    for (const name of ["nightly.json", PAGE]) await Deno.remove(join(this.path, name)).catch(ignoreNotFound);
    await Deno.remove(join(this.path, "partial"), { recursive: true }).catch(ignoreNotFound);
  }

  /** The file for what the build of a kernel writes, from the directory of the night. */
  async buildLog(key: string): Promise<string> {
    await ensureDir(join(this.path, "builds"));
    const log = `builds/${key}.log`;
    for (const old of [log, `builds/${key}.json`]) {
      await Deno.remove(join(this.path, old)).catch(ignoreNotFound);
    }
    return log;
  }

  /** An empty directory for a job that begins. */
  async beginJob(name: string): Promise<string> {
    const partial = this.#partial(name);
    await Deno.remove(partial, { recursive: true }).catch(ignoreNotFound);
    await ensureDir(partial);
    return partial;
  }

  /** Removes the directory of a job that did not come to its end. */
  async dropJob(name: string): Promise<void> {
    await Deno.remove(this.#partial(name), { recursive: true }).catch(ignoreNotFound);
  }

  /** Gives the directory of a job its name. */
  async finishJob(job: NightlyJob): Promise<void> {
    const partial = this.#partial(job.name);
    const { run: _inItsOwnFile, ...rest } = job;
    await ensureDir(partial);
    await writeWhole(join(partial, "job.json"), encode(rest));
    const path = join(this.path, NightDirectory.filesOf(job.name));
    await ensureDir(dirname(path));
    await Deno.remove(path, { recursive: true }).catch(ignoreNotFound);
    await Deno.rename(partial, path);
  }

  /** A job that finished, or undefined. */
  async readJob(name: string): Promise<NightlyJob | undefined> {
    const directory = join(this.path, NightDirectory.filesOf(name));
    const job = await readJson(join(directory, "job.json")) as NightlyJob | undefined;
    const results = join(directory, "results.json");
    if (job === undefined || !await exists(results)) return job;
    const run = await readRunResult(results);
    return typeof run === "string" ? job : { ...job, run };
  }

  #partial(name: string): string {
    return join(this.path, "partial", name.replaceAll("/", "_"));
  }

  async #write(name: string, value: unknown): Promise<void> {
    await writeWhole(join(this.path, name), encode(value));
  }
}

/** A job that did not run. */
export function missingJob(job: PlannedJob, reason: string): NightlyJob {
  return { ...describeJob(job), status: "missing", reason, seconds: 0, reused: false };
}

/** The part of a result that the plan knows. */
export function describeJob(
  job: PlannedJob,
): Omit<NightlyJob, "status" | "seconds" | "reused"> {
  const { name, kernel, platform, flavour, suite, digest, digests, reproduce } = job;
  return {
    ...{ name, kernel, platform, flavour, suite, reproduce },
    ...(digest === undefined ? {} : { digest }),
    ...(digests === undefined ? {} : { digests }),
  };
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof SyntaxError) throw new UsageError(`${path} is not JSON: ${error.message}`);
    throw error;
  }
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
