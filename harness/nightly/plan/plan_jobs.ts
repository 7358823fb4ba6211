// SPDX-License-Identifier: MIT

import { basename, join } from "@std/path";
import { type KernelArch, PLATFORM_ARCHES } from "../../../lib/abi/arch.ts";
import { DEFAULT_SERIES } from "../../../lib/abi/series.ts";
import { shellJoin } from "../../../vm/host/shell_quote.ts";
import { runCommand } from "../../../vm/host/run_command.ts";
import { digestOf } from "../../../vm/host/digest.ts";
import { ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { digestOfContents, digestOfFiles, filesBelow, harnessDigest } from "./harness_digest.ts";
import type { CkptestSuite, JobRequest, MatrixKernel, MatrixSuite } from "./matrix.ts";
import type { Inputs, JobCommand, JobDigests, PlannedJob } from "../nightly_result.ts";
import { exists } from "@std/fs";
import { cacheDirectory, markAsUsed } from "../../../vm/host/own_directories.ts";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { removeIfThere } from "../../../vm/host/ignore_missing.ts";
import { runGit } from "../../../vm/host/run_git.ts";
import { type KernelPlan, planKernel } from "../../../vm/kernel/build/build_kernel.ts";
import { formatKernelConfig } from "../../../vm/kernel/config/kernel_config.ts";
import { flavourMakeVariables, type KernelFlavour } from "../../../vm/kernel/config/kernel_flavour.ts";

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
        options: await digestOf([JSON.stringify(suite), versions], 32),
      };
      const parts = [on?.platform ?? "", on?.flavour ?? "", JSON.stringify(suite), JSON.stringify(digests)];
      const build = on && ["kernel", "--arch", PLATFORM_ARCHES[on.platform].kernel, "--flavour", on.flavour];
      jobs.push({
        ...{ ...job, digests, digest: await digestOf(parts, 32) },
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
  if (suite.kind === "mutants" && kernel.debian === undefined) {
    throw new UsageError("mutants needs a kernel of Debian");
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
    const draws = suite.draws === undefined ? [] : [`--${suite.draws}`];
    const args = ["--seed", String(suite.seed), "--count", String(suite.count), ...draws];
    return { kind: "ckptest", args: ["fuzz", "--arch", name, ...options, ...args], writesResults: false };
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

/** Where the files of the patch lie in the project. */
const OVERLAY = "vm/kernel/overlay";
const HOOKS = "vm/kernel/hooks";

/** A kernel of the matrix that can be had. */
interface PlannedKernel {
  readonly digests: Pick<JobDigests, "source" | "patch" | "config" | "kernel">;
  readonly options: readonly string[];
  readonly isBuilt: boolean;
  /** What `patch` and `config` were made of. */
  readonly inputs: Inputs;
}

/**
 * Finds out which kernel an entry of the matrix means, without building it. Digests speak of contents alone: they
 * are the same on every machine.
 *
 * @throws {ExpectedError} in a sentence: no such source, no hooks for its series, no such file
 */
async function planMatrixKernel(
  kernel: MatrixKernel,
  arch: KernelArch,
  flavour: KernelFlavour,
): Promise<PlannedKernel> {
  const { debian: series, git: repository, ref = "", file } = kernel;
  if (file !== undefined) return await planFile(file, flavour);
  const fetched = repository === undefined
    ? undefined
    : await fetchGitTree({ repository, ref, cacheDir: cacheDirectory() });
  const path = fetched?.path ?? kernel.directory;
  const source = path === undefined
    ? { kind: "debian", series: series ?? DEFAULT_SERIES } as const
    : { kind: "directory", path } as const;
  const plan = await planKernel({ arch, flavour, source });
  const isDefault = series === DEFAULT_SERIES;
  const options = path === undefined ? isDefault ? [] : ["--series", series!] : ["--kernel-tree", path];
  return await planned(plan, fetched?.commit ?? plan.source.contentKey, options);
}

async function planFile(path: string, flavour: KernelFlavour): Promise<PlannedKernel> {
  if (flavour !== "plain") throw new UsageError(`a ready kernel has the flavour plain, not ${flavour}`);
  const file = await Deno.readFile(path).catch((error: Error) => {
    throw new UsageError(`the kernel ${path} cannot be read: ${error.message}`);
  });
  const digests = { kernel: await digestOf([file], 32) };
  return { digests, options: ["--kernel", path], isBuilt: false, inputs: {} };
}

async function planned(plan: KernelPlan, source: string, options: readonly string[]): Promise<PlannedKernel> {
  const { edits, flavour } = plan;
  const hooks = `${HOOKS}/${plan.source.series}.patch`;
  const overlay = [...edits.overlay].map(([file, bytes]) => [`${OVERLAY}/${file}`, bytes] as const);
  const { digest: patch, files } = await digestOfContents([[hooks, edits.hooks.text], ...overlay]);
  const config = await digestOf([formatKernelConfig(plan.config)], 32);
  const variables = flavourMakeVariables(flavour);
  const parts = [source, patch, config, plan.arch, flavour, plan.compiler, ...variables];
  const inputs = { [patch]: files, [config]: Object.fromEntries(plan.config) };
  const digests = { source, patch, config, kernel: await digestOf(parts, 32) };
  return { digests, options, isBuilt: true, inputs };
}

/**
 * Fetches one commit of a repository, which is only read, into a directory below the cache; once per commit.
 *
 * @param repository path or URL
 * @param ref branch, tag or full hash of a commit
 * @throws {GitError} with what git said
 */
export async function fetchGitTree(
  { repository, ref, cacheDir }: { repository: string; ref: string; cacheDir: string },
): Promise<{ commit: string; path: string }> {
  const commit = await commitOf(repository, ref);
  const path = join(cacheDir, "git", commit);
  if (!await exists(path)) {
    await withFileLock(`${path}.lock`, async () => {
      if (await exists(path)) return;
      const partial = `${path}.partial`;
      await removeIfThere(partial);
      try {
        await runGit(["init", "--quiet", partial]);
        await runGit(["fetch", "--quiet", "--depth=1", repository, commit], { cwd: partial });
        await runGit(["checkout", "--quiet", "--detach", "FETCH_HEAD"], { cwd: partial });
        await Deno.rename(partial, path);
      } finally {
        await removeIfThere(partial);
      }
    });
  }
  // Trees that nobody uses are removed in the end.
  await markAsUsed(path);
  return { commit, path };
}

async function commitOf(repository: string, ref: string): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(ref)) return ref;
  const lines = (await runGit(["ls-remote", repository, ref, `${ref}^{}`])).trim().split("\n");
  const found = new Map(lines.map((line) => line.split("\t").toReversed() as [string, string]));
  // An annotated tag is an object of its own; its commit is what is behind it.
  const names = [`refs/tags/${ref}^{}`, `refs/tags/${ref}`, `refs/heads/${ref}`, ref];
  const commit = names.map((name) => found.get(name)).find((hash) => hash !== undefined);
  if (commit === undefined) throw new UsageError(`${repository} has no branch or tag ${ref}`);
  return commit;
}
