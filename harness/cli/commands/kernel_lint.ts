// SPDX-License-Identifier: MIT

import { DEFAULT_SERIES } from "../../../lib/abi/series.ts";
import { cacheDirectory } from "../../../vm/host/cache_directory.ts";
import type { BuildProgress } from "../../../vm/kernel/build/build_stage.ts";
import {
  acceptFindings,
  type JudgedFindings,
  type LintFinding,
  type LintReport,
  readAcceptedFindings,
} from "../../../vm/kernel/patches/accept_findings.ts";
import { lintSeries } from "../../../vm/kernel/patches/lint_series.ts";
import { loadSeries } from "../../../vm/kernel/patches/load_series.ts";
import { type Command, defineCommand, value } from "../options.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { parsePlatforms } from "../../run/platform.ts";
import { SERIES_OPTION, showProgress } from "./kernel_series.ts";

/** `kernel-lint`: the kernel's own style checkers on the kernel code. */
export const kernelLintCommand: Command = defineCommand({
  series: SERIES_OPTION,
  arch: value("LIST", "what sparse and gcc compile for: x86_64, i386, i386-pae (default x86_64,i386)"),
}, {
  about: "run checkpatch --strict, kernel-doc, sparse and the extra warnings of gcc on the kernel code",
  async run({ series: name = DEFAULT_SERIES, arch }, { terminal }) {
    const platforms = parsePlatforms({ arch, fallback: "x86_64,i386" });
    const arches = [...new Set(platforms.map(({ kernel }) => kernel))];
    const cacheDir = cacheDirectory();
    const onProgress = (progress: BuildProgress) => showProgress(terminal, progress);
    const series = await loadSeries({ series: name, cacheDir, onProgress });
    const reports = await lintSeries({ series, cacheDir, arches, onProgress });
    const judged = acceptFindings(
      reports.flatMap(({ findings }) => findings),
      await readAcceptedFindings(),
    );
    terminal.clearStatus();
    for (const line of lintLines(reports, judged)) terminal.result(line);
    const clean = judged.rejected.length === 0 && judged.stale.length === 0;
    return clean ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
  },
});

/** What the kernel's style checkers found, for people: one line a tool, below it what it found. */
export function lintLines(reports: readonly LintReport[], judged: JudgedFindings): string[] {
  const lines: string[] = [];
  for (const { tool, looked, elsewhere } of reports) {
    const rejected = judged.rejected.filter((finding) => finding.tool === tool);
    const accepted = judged.accepted.filter(({ finding }) => finding.tool === tool);
    const counts = [
      `${rejected.length} found`,
      ...(accepted.length > 0 ? [`${accepted.length} accepted`] : []),
      ...(elsewhere > 0 ? [`${elsewhere} in files of the kernel's`] : []),
    ];
    lines.push(`${tool.padEnd(12)}${counts.join(", ")} (${looked})`);
    lines.push(...rejected.map((finding) => `  ${show(finding)}`));
    lines.push(...accepted.map(({ finding, reason }) => `  accepted: ${show(finding)}\n    since ${reason}`));
  }
  return [...lines, ...judged.stale.map((text) => `out of date  ${text}`)];
}

function show({ file, line, type, text }: LintFinding): string {
  return `${file}:${line}: ${type === "" ? "" : `${type}: `}${text}`;
}
