// SPDX-License-Identifier: MIT
import { dirname, join } from "@std/path";
import type { KernelArch } from "../../../lib/abi/arch.ts";
import { withScratch } from "../../host/temp_directory.ts";
import { requireTools } from "../../host/find_tool.ts";
import { inStage, type OnBuildProgress } from "../build/build_stage.ts";
import { checkObjects } from "./check_objects.ts";
import { exportSeries } from "./export_series.ts";
import { LINT_TOOLS, type LintReport, type LintTool } from "./accept_findings.ts";
import type { Series } from "./load_series.ts";
import { runCheckpatch, runKernelDoc } from "./style_checkers.ts";
import { withSeriesTree } from "./series_tree.ts";

interface LintSeriesOptions {
  series: Series;
  cacheDir: string;
  /** What the tools that compile are run for. */
  arches: readonly KernelArch[];
  /** All of them by default. */
  tools?: readonly LintTool[];
  onProgress?: OnBuildProgress | undefined;
}

/** What is looked at is not sent, so its sender does not matter. */
const SENDER = { name: "ckptest", email: "ckptest@example.org", date: "0 +0000" };

/**
 * Runs the kernel's style checkers on the finished port.
 *
 * @returns what each tool found, in the order in which they ran.
 * @throws {MissingToolError} when one of them is not installed.
 * @throws {BuildError} when the port cannot be read or compiled.
 */
export async function lintSeries(options: LintSeriesOptions): Promise<LintReport[]> {
  const { tools = LINT_TOOLS } = options;
  await requireTools(tools.includes("sparse") ? ["perl", "sparse"] : ["perl"]);
  const reports: LintReport[] = [];
  for (const tool of tools) {
    options.onProgress?.({ stage: "build", message: `running ${tool}`, seconds: 0 });
    reports.push(await runTool(tool, options));
  }
  return reports;
}

function runTool(tool: LintTool, options: LintSeriesOptions): Promise<LintReport> {
  const { series, cacheDir, arches } = options;
  if (tool === "checkpatch") {
    return withScratch(join(cacheDir, "tmp"), async (outDir) => {
      const mails = await exportSeries({ series, author: SENDER, outDir, cacheDir });
      return await runCheckpatch(series.pristine, mails);
    });
  }
  if (tool === "kernel-doc") return inStage("apply", () => documentation(series, cacheDir));
  const index = series.stages.length - 1;
  return withSeriesTree(options, (tree) => checkObjects({ tree, tool, arches, index }));
}

function documentation(series: Series, cacheDir: string): Promise<LintReport> {
  const own = [...series.stages.at(-1) ?? []].filter(([file]) => !series.originals.has(file));
  return withScratch(join(cacheDir, "tmp"), async (directory) => {
    for (const [file, text] of own) {
      await Deno.mkdir(dirname(join(directory, file)), { recursive: true });
      await Deno.writeTextFile(join(directory, file), text);
    }
    return await runKernelDoc(series.pristine, new Map(own), directory);
  });
}
