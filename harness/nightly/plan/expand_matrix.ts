// SPDX-License-Identifier: MIT

import type { PlatformName } from "../../../lib/abi/arch.ts";
import type { KernelFlavour } from "../../../vm/kernel/config/kernel_flavour.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import type { Matrix, MatrixExclude, MatrixKernel, MatrixSuite } from "./matrix.ts";

/** A job as the matrix asks for it. */
export interface JobRequest {
  /** `KERNEL/PLATFORM/FLAVOUR/SUITE`; `SUITE` alone for a suite that needs no kernel. */
  readonly name: string;
  readonly suite: MatrixSuite;
  readonly suiteName: string;
  /** Undefined for a suite that needs no kernel. */
  readonly on: { kernel: MatrixKernel; platform: PlatformName; flavour: KernelFlavour } | undefined;
  readonly deadlineSeconds: number;
}

/**
 * The jobs of a matrix, in its order, each once.
 *
 * @param filter takes the place of the filters of the matrix, unless it is empty
 * @throws {UsageError} when two jobs would have one name, when an exclude fits none, or when nothing is left
 */
export function expandMatrix(matrix: Matrix, filter: readonly string[] = []): JobRequest[] {
  const jobs = new Map<string, JobRequest>();
  for (const { kernels, platforms, flavours, suites, deadlineSeconds } of matrix.products) {
    for (const kernel of kernels) {
      for (const platform of platforms) {
        for (const flavour of flavours) {
          for (const plain of suites) {
            const suite = "filter" in plain && filter.length > 0 ? { ...plain, filter } : plain;
            const on = suite.kind === "corruptions" ? undefined : { kernel, platform, flavour };
            const suiteName = nameOfSuite(suite);
            const name = on ? `${kernel.name}/${platform}/${flavour}/${suiteName}` : suiteName;
            const job = { name, suite, suiteName, on, deadlineSeconds };
            const twin = jobs.get(name);
            if (twin === undefined) jobs.set(name, job);
            else if (JSON.stringify([twin.suite, twin.on]) !== JSON.stringify([suite, on])) {
              throw new UsageError(
                `${matrix.path}: two different jobs would be called ${name}: name a kernel`,
              );
            }
          }
        }
      }
    }
  }
  const kept = exclude([...jobs.values()], matrix);
  if (kept.length === 0) throw new UsageError(`${matrix.path}: no job is left`);
  return kept;
}

/** What a job's name calls a suite. */
export function nameOfSuite(suite: MatrixSuite): string {
  if (suite.kind === "fuzz") return `fuzz-${suite.seed}x${suite.count}`;
  if (!("filter" in suite) || suite.filter.length === 0) return suite.kind;
  return `${suite.kind}-${suite.filter.join("+").replaceAll(/[^\w.+-]/g, "-")}`;
}

function exclude(jobs: readonly JobRequest[], matrix: Matrix): JobRequest[] {
  const fits = (rule: MatrixExclude, job: JobRequest): boolean =>
    (rule.kernel ?? job.on?.kernel.name) === job.on?.kernel.name &&
    (rule.platform ?? job.on?.platform) === job.on?.platform &&
    (rule.flavour ?? job.on?.flavour) === job.on?.flavour &&
    (rule.suite === undefined || rule.suite === job.suite.kind || rule.suite === job.suiteName);
  matrix.exclude.forEach((rule, index) => {
    if (!jobs.some((job) => fits(rule, job))) {
      throw new UsageError(
        `${matrix.path}: exclude[${index}]: expected what fits a job, found ${JSON.stringify(rule)}`,
      );
    }
  });
  return jobs.filter((job) => !matrix.exclude.some((rule) => fits(rule, job)));
}
