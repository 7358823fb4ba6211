// SPDX-License-Identifier: MIT

import { basename } from "@std/path";
import { PLATFORM_ARCHES } from "../../../lib/abi/arch.ts";
import { DEFAULT_SERIES } from "../../../lib/abi/series.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import { runCommand } from "../../../vm/host/run_command.ts";
import { digestOf } from "../../../vm/host/digest.ts";
import { ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { digestOfFiles, filesBelow, harnessDigest } from "./harness_digest.ts";
import type { CkptestSuite, JobRequest, MatrixSuite } from "./matrix.ts";
import { planMatrixKernel, type PlannedKernel } from "./plan_kernel_job.ts";
import type { Inputs, JobCommand, PlannedJob } from "./planned_job.ts";

type Place = NonNullable<JobRequest["on"]>;

/**
 * Finds out what each job is made of and how it is run. Nothing is built; a git source is fetched. A job that
 * cannot be planned says why.
 *
 * @param reproduceOptions options of `nightly` without which the matrix has other jobs
 */
export async function planJobs(
  requests: readonly JobRequest[],
  reproduceOptions: readonly string[] = [],
): Promise<{ jobs: PlannedJob[]; inputs: Inputs }> {
  const harness = await harnessDigest();
  const inputs: Record<string, Inputs[string]> = { [harness.digest]: harness.files };
  const qemu = await runCommand(["qemu-system-x86_64", "--version"]).catch(() => ({ lines: [] }));
  // What decides outcomes beside our own files.
  const versions = `deno ${Deno.version.deno}; ${qemu.lines[0] ?? "no QEMU"}`;
  const kernels = new Map<string, Promise<PlannedKernel>>();
  const kernelOf = ({ kernel, platform, flavour }: Place): Promise<PlannedKernel> => {
    const { kernel: arch } = PLATFORM_ARCHES[platform];
    const key = JSON.stringify([kernel, arch, flavour]);
    const pending = kernels.get(key) ?? planMatrixKernel(kernel, arch, flavour);
    kernels.set(key, pending);
    return pending;
  };
  const jobs: PlannedJob[] = [];
  for (const { name, suite, suiteName, on, deadlineSeconds } of requests) {
    const { kernel = { name: "-" }, platform = "-", flavour = "-" } = on ?? {};
    const job = {
      ...{ name, kernel: kernel.name, platform, flavour, suite: suiteName, suiteKind: suite.kind },
      ...{ deadlineSeconds, command: commandOf(suite, platform, { flavour, options: [] }) },
      reproduce: shellJoin(["deno", "task", "nightly", ...reproduceOptions, "--only", name]),
    };
    try {
      const planned = on && await kernelOf(on);
      if (on) checkFit(suite, on);
      const { options = [] } = planned ?? {};
      const scenarios = await digestOfFiles(await filesOf(suite));
      Object.assign(inputs, planned?.inputs, { [scenarios.digest]: scenarios.files });
      const digests = {
        ...planned?.digests,
        harness: harness.digest,
        scenarios: scenarios.digest,
        options: (await digestOf([JSON.stringify(suite), versions])).slice(0, 32),
      };
      const parts = [on?.platform ?? "", on?.flavour ?? "", JSON.stringify(suite), JSON.stringify(digests)];
      const build = on && ["kernel", "--arch", PLATFORM_ARCHES[on.platform].kernel, "--flavour", on.flavour];
      jobs.push({
        ...{ ...job, digests, digest: (await digestOf(parts)).slice(0, 32) },
        command: commandOf(suite, platform, { flavour, options }),
        ...build && planned?.isBuilt &&
          { buildKey: planned.digests.kernel!, buildArgs: [...build, ...options] },
      });
    } catch (error) {
      if (!(error instanceof ExpectedError)) throw error;
      jobs.push({ ...job, problem: error.message });
    }
  }
  return { jobs, inputs };
}

/** @throws {UsageError} saying why a suite cannot run there */
function checkFit(suite: MatrixSuite, { kernel, flavour }: Place): void {
  if (suite.kind === "faults" && flavour === "plain") {
    throw new UsageError("faults needs the flavour debug or fault: plain kernels have no fault injection");
  }
  if (suite.kind === "faults" && kernel.file !== undefined) {
    throw new UsageError("faults needs a kernel that is built here");
  }
  if (suite.kind === "mutants" && kernel.debian !== DEFAULT_SERIES) {
    throw new UsageError(`mutants runs on Debian's ${DEFAULT_SERIES} alone`);
  }
}

function commandOf(
  suite: MatrixSuite,
  platform: string,
  kernel: { flavour: string; options: readonly string[] },
): JobCommand {
  if (suite.kind === "corruptions") return { kind: "test", file: "tests/corruption_test.ts" };
  return suiteCommand(suite, platform, kernel);
}

/** What runs a suite on a kernel, by the command line of ckptest. */
export function suiteCommand(
  suite: CkptestSuite,
  platform: string,
  { flavour, options }: { flavour: string; options: readonly string[] },
): JobCommand & { kind: "ckptest" } {
  if (suite.kind === "fuzz") {
    const name = flavour === "plain" ? platform : `${platform}-${flavour}`;
    const draw = ["--seed", String(suite.seed), "--count", String(suite.count)];
    return { kind: "ckptest", args: ["fuzz", "--arch", name, ...options, ...draw], writesResults: false };
  }
  const name = suite.kind === "catalogue" ? "run" : suite.kind;
  const filters = suite.filter.flatMap((text) => ["--filter", text]);
  const kernel = ["--arch", platform, "--flavour", flavour, ...options];
  const args = [name, ...kernel, ...filters];
  return { kind: "ckptest", args, writesResults: true };
}

/** The files of the fixtures that a suite takes, from the project's root. */
async function filesOf(suite: MatrixSuite): Promise<string[]> {
  if (suite.kind === "corruptions") {
    return ["tests/corruption_test.ts", ...await filesBelow("fixtures/corruptions")];
  }
  if (suite.kind === "fuzz") return [];
  const scenarios = await filesBelow("fixtures/scenarios");
  if (suite.kind === "mutants") return [...await filesBelow("fixtures/mutants"), ...scenarios];
  const { filter } = suite;
  const fits = (file: string): boolean => filter.some((text) => basename(file).includes(text));
  return filter.length === 0 ? scenarios : scenarios.filter(fits);
}
