// SPDX-License-Identifier: MIT
import type { KernelArch } from "../../../lib/abi/arch.ts";
import { BuildError } from "../build/build_error.ts";
import { checkObjects } from "./check_objects.ts";
import { type SeriesTree, type SeriesTreeOptions, withSeriesTree } from "./series_tree.ts";

/** A kernel that was built after one of the patches. */
interface BuiltPatch {
  arch: KernelArch;
  /** From 1 on. */
  number: number;
  subject: string;
  seconds: number;
}

interface BuildSeriesOptions extends SeriesTreeOptions {
  arches: readonly KernelArch[];
  onBuilt?: (built: BuiltPatch) => void;
}

/**
 * Builds the kernel after each patch of a series, with the port switched on from the patch that brings its
 * option: all of vmlinux without a warning, and the port's own sources without one of the kernel's extra
 * warnings (`W=1`).
 *
 * @throws {BuildError} that names architecture and patch.
 */
export async function buildSeries(options: BuildSeriesOptions): Promise<void> {
  await withSeriesTree(options, async (tree) => {
    for (const arch of options.arches) {
      for (const [index, { subject }] of options.series.plan.patches.entries()) {
        const start = performance.now();
        const number = index + 1;
        const complaint = await buildPatch(tree, arch, index).catch((error) => {
          if (error instanceof BuildError) return error.message;
          throw error;
        });
        if (complaint !== "") {
          const of = `patch ${number} of ${options.series.stages.length} (${subject})`;
          throw new BuildError({ stage: "build", problem: `${arch}, after ${of}:\n${complaint}` });
        }
        options.onBuilt?.({ arch, number, subject, seconds: (performance.now() - start) / 1000 });
      }
    }
  });
}

async function buildPatch(tree: SeriesTree, arch: KernelArch, index: number): Promise<string> {
  const warnings = await tree.buildKernel(arch, index);
  const { findings } = await checkObjects({ tree, tool: "W=1", arches: [arch], index });
  return [...warnings, ...findings.map(({ file, line, text }) => `${file}:${line}: ${text}`)].join("\n");
}
