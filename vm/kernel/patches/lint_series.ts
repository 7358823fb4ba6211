// SPDX-License-Identifier: MIT
import { basename, join } from "@std/path";
import type { KernelArch } from "../../../lib/abi/arch.ts";
import { withScratch } from "../../host/temp_directory.ts";
import { requireTools } from "../../host/find_tool.ts";
import { runCommand } from "../../host/run_command.ts";
import { BuildError } from "../build/build_error.ts";
import { inStage, type OnBuildProgress } from "../build/build_stage.ts";
import { withSeriesTree } from "./build_series.ts";
import { exportSeries, writeFiles } from "./export_series.ts";
import { LINT_TOOLS, type LintFinding, type LintReport, type LintTool } from "./accept_findings.ts";
import type { Series } from "./load_series.ts";

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
  return withSeriesTree(options, (tree) => tree.checkObjects({ tool, arches, index }));
}

function documentation(series: Series, cacheDir: string): Promise<LintReport> {
  const own = new Map([...series.stages.at(-1) ?? []].filter(([file]) => !series.originals.has(file)));
  return withScratch(join(cacheDir, "tmp"), async (directory) => {
    await writeFiles(directory, own);
    return await runKernelDoc(series.pristine, own, directory);
  });
}

/**
 * Runs the kernel's own `checkpatch.pl --strict` on mails. A cover letter is passed over: it has no patch.
 *
 * @param tree of the kernel that the mails apply to; its checkpatch.pl is the one that runs.
 * @throws {BuildError} of stage `apply` when checkpatch.pl says that something is wrong, but not what.
 */
async function runCheckpatch(tree: string, mails: readonly string[]): Promise<LintReport> {
  const patches = mails.filter((path) => !path.endsWith("-cover-letter.patch"));
  const findings: LintFinding[] = [];
  for (const path of patches) {
    const argv = ["perl", join(tree, "scripts/checkpatch.pl"), ...OPTIONS, `--root=${tree}`, path] as const;
    const { code, lines } = await runCommand([...argv]);
    const found = lines.map((line) => parseCheckpatch(line, path)).filter((finding) => finding !== undefined);
    findings.push(...found);
    if ((code === 0) === (found.length === 0) && code <= 1) continue;
    const problem =
      `checkpatch.pl's exit status ${code} does not go with its ${found.length} messages that we know`;
    throw new BuildError({ stage: "apply", problem, command: argv, lines });
  }
  return { tool: "checkpatch", looked: `${patches.length} patches`, findings, elsewhere: 0 };
}

const OPTIONS = ["--strict", "--terse", "--showfile", "--show-types", "--no-summary", "--color=never"];

function parseCheckpatch(line: string, mail: string): LintFinding | undefined {
  const [, file = "", at, type = "", text = ""] =
    /^([^:]*):(\d+): (?:ERROR|WARNING|CHECK):(\w+): (.*)$/.exec(line) ?? [];
  if (at === undefined) return undefined;
  // Of what is wrong with a mail itself it says where the mail lies, or nothing.
  const place = file === "" || file === mail ? basename(mail) : file;
  return { tool: "checkpatch", type, file: place, line: Number(at), text };
}

/**
 * Runs the kernel's `kernel-doc` on sources: every comment that it knows must be complete, and every function
 * that a header declares must have one.
 *
 * @param tree of the kernel; its kernel-doc is the one that runs.
 * @param sources texts by path from the root of the kernel tree; those in C are looked at.
 * @param directory where these files lie.
 * @throws {BuildError} of stage `apply` when kernel-doc says that something is wrong, but not what.
 */
async function runKernelDoc(
  tree: string,
  sources: ReadonlyMap<string, string>,
  directory: string,
): Promise<LintReport> {
  const files = [...sources.keys()].filter((file) => /\.[ch]$/.test(file));
  const argv = ["perl", join(tree, "scripts/kernel-doc"), "-v", "-Werror", "-none", ...files] as const;
  const { code, lines } = await runCommand([...argv], { cwd: directory, keepLines: 10_000 });
  const findings: LintFinding[] = [];
  const documented = new Set<string>();
  for (const line of lines) {
    const [, file = "", at, level, text = ""] = /^(.*?):(\d+): (\w+): (.*)$/.exec(line) ?? [];
    if (at === undefined) continue;
    const name = /^Scanning doc for (?:function )?(\w+)/.exec(text)?.[1];
    if (level !== "info") findings.push({ tool: "kernel-doc", type: "", file, line: Number(at), text });
    else if (name !== undefined) documented.add(name);
  }
  if ((code === 0) !== (findings.length === 0) || documented.size === 0) {
    const problem =
      `kernel-doc's exit status ${code} does not go with ${findings.length} messages on ${documented.size} comments`;
    throw new BuildError({ stage: "apply", problem, command: argv, lines });
  }
  for (const { file, line, name } of [...sources].flatMap(([file, text]) => declaredFunctions(file, text))) {
    if (documented.has(name)) continue;
    const text = `function ${name} is declared here and documented nowhere`;
    findings.push({ tool: "kernel-doc", type: "undocumented", file, line, text });
  }
  return {
    tool: "kernel-doc",
    looked: `${documented.size} comments in ${files.length} files`,
    findings,
    elsewhere: 0,
  };
}

/** The functions that a header of the kernel declares. What user space sees has none. */
function declaredFunctions(file: string, text: string): { file: string; line: number; name: string }[] {
  if (!file.endsWith(".h")) return [];
  const matches = text.matchAll(/^(?!typedef|static|#|return)[a-z][\w \t]*[ *](\w+)\([^;{}]*\);/gm);
  return [...matches].map(({ index, 1: name = "" }) => {
    return { file, line: text.slice(0, index).split("\n").length, name };
  });
}
