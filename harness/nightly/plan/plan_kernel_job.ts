// SPDX-License-Identifier: MIT

import type { KernelArch } from "../../../lib/abi/arch.ts";
import { DEFAULT_SERIES } from "../../../lib/abi/series.ts";
import { cacheDirectory } from "../../../vm/host/cache_directory.ts";
import { BuildError } from "../../../vm/kernel/build/build_error.ts";
import { type KernelPlan, planKernel } from "../../../vm/kernel/build/build_kernel.ts";
import { digestOf } from "../../../vm/host/digest.ts";
import { formatKernelConfig } from "../../../vm/kernel/config/kernel_config.ts";
import { flavourMakeVariables, type KernelFlavour } from "../../../vm/kernel/config/kernel_flavour.ts";
import type { JobDigests } from "../nightly_result.ts";
import { fetchGitTree, GitTreeError } from "./git_tree.ts";
import type { MatrixKernel } from "./matrix.ts";

/** A kernel of the matrix that can be had. */
export interface PlannedKernel {
  readonly digests: Pick<JobDigests, "source" | "patch" | "config" | "kernel">;
  /** Options of ckptest that name it. */
  readonly options: readonly string[];
  /** Whether it is to be built. */
  readonly isBuilt: boolean;
}

/** Why a kernel cannot be planned. */
export class KernelPlanError extends Error {
  override readonly name = "KernelPlanError";
}

/** The series that ckptest takes when none is named. */

/**
 * Finds out which kernel an entry of the matrix means, without building it. Digests speak of contents alone: they
 * are the same on every machine.
 *
 * @throws {KernelPlanError} in a sentence: no such source, no hooks for its series, no such file
 */
export async function planMatrixKernel(
  kernel: MatrixKernel,
  arch: KernelArch,
  flavour: KernelFlavour,
): Promise<PlannedKernel> {
  try {
    if (kernel.kind === "file") return await planFile(kernel.path, flavour);
    if (kernel.kind === "git") {
      const tree = await fetchGitTree({ ...kernel, cacheDir: cacheDirectory() });
      const plan = await planKernel({ arch, flavour, source: { kind: "directory", path: tree.path } });
      return await planned(plan, tree.commit, ["--kernel-tree", tree.path]);
    }
    if (kernel.kind === "directory") {
      const plan = await planKernel({ arch, flavour, source: { kind: "directory", path: kernel.path } });
      return await planned(plan, plan.source.contentKey, ["--kernel-tree", kernel.path]);
    }
    const plan = await planKernel({ arch, flavour, source: kernel });
    const options = kernel.series === DEFAULT_SERIES ? [] : ["--series", kernel.series];
    return await planned(plan, plan.source.contentKey, options);
  } catch (error) {
    if (error instanceof BuildError || error instanceof GitTreeError) {
      throw new KernelPlanError(error.message);
    }
    throw error;
  }
}

async function planFile(path: string, flavour: KernelFlavour): Promise<PlannedKernel> {
  if (flavour !== "plain") throw new KernelPlanError(`a ready kernel has the flavour plain, not ${flavour}`);
  const file = await Deno.readFile(path).catch((error: Error) => {
    throw new KernelPlanError(`the kernel ${path} cannot be read: ${error.message}`);
  });
  return { digests: { kernel: await digest([file]) }, options: ["--kernel", path], isBuilt: false };
}

async function planned(plan: KernelPlan, source: string, options: readonly string[]): Promise<PlannedKernel> {
  const { edits, flavour } = plan;
  const patch = await digest([edits.hooks.text, ...[...edits.overlay].flat()]);
  const config = await digest([formatKernelConfig(plan.config)]);
  const variables = flavourMakeVariables(flavour);
  const kernel = await digest([source, patch, config, plan.arch, flavour, plan.compiler, ...variables]);
  return { digests: { source, patch, config, kernel }, options, isBuilt: true };
}

async function digest(parts: readonly (string | Uint8Array)[]): Promise<string> {
  return (await digestOf(parts)).slice(0, 32);
}
