// SPDX-License-Identifier: MIT

import type { KernelArch } from "../../../lib/abi/arch.ts";
import { DEFAULT_SERIES } from "../../../lib/abi/series.ts";
import { exists } from "@std/fs";
import { join } from "@std/path";
import { cacheDirectory } from "../../../vm/host/cache_directory.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { removeIfThere } from "../../../vm/host/ignore_missing.ts";
import { runGit } from "../../../vm/host/run_git.ts";
import { type KernelPlan, planKernel } from "../../../vm/kernel/build/build_kernel.ts";
import { digestOf } from "../../../vm/host/digest.ts";
import { formatKernelConfig } from "../../../vm/kernel/config/kernel_config.ts";
import { flavourMakeVariables, type KernelFlavour } from "../../../vm/kernel/config/kernel_flavour.ts";
import type { JobDigests } from "../nightly_result.ts";
import { digestOfContents } from "./harness_digest.ts";
import type { MatrixKernel } from "./matrix.ts";
import type { Inputs } from "./planned_job.ts";

/** Where the files of the patch lie in the project. */
const OVERLAY = "vm/kernel/overlay";
const HOOKS = "vm/kernel/hooks";

/** A kernel of the matrix that can be had. */
export interface PlannedKernel {
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
export async function planMatrixKernel(
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
  return {
    digests: { kernel: await digest([file]) },
    options: ["--kernel", path],
    isBuilt: false,
    inputs: {},
  };
}

async function planned(plan: KernelPlan, source: string, options: readonly string[]): Promise<PlannedKernel> {
  const { edits, flavour } = plan;
  const hooks = `${HOOKS}/${plan.source.series}.patch`;
  const overlay = [...edits.overlay].map(([file, bytes]) => [`${OVERLAY}/${file}`, bytes] as const);
  const { digest: patch, files } = await digestOfContents([[hooks, edits.hooks.text], ...overlay]);
  const config = await digest([formatKernelConfig(plan.config)]);
  const variables = flavourMakeVariables(flavour);
  const kernel = await digest([source, patch, config, plan.arch, flavour, plan.compiler, ...variables]);
  const inputs = { [patch]: files, [config]: Object.fromEntries(plan.config) };
  return { digests: { source, patch, config, kernel }, options, isBuilt: true, inputs };
}

async function digest(parts: readonly (string | Uint8Array)[]): Promise<string> {
  return (await digestOf(parts)).slice(0, 32);
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
  await Deno.utime(path, new Date(), new Date()).catch(() => {});
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
