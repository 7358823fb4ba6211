// SPDX-License-Identifier: MIT

import {
  acceptFindings,
  type JudgedFindings,
  type LintFinding,
  type LintReport,
  readAcceptedFindings,
} from "../../../vm/kernel/patches/accept_findings.ts";
import { lintSeries } from "../../../vm/kernel/patches/lint_series.ts";
import { type Command, defineCommand } from "../options.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { loadPatches, PATCHES_OPTIONS } from "./kernel_series.ts";

/** `kernel-lint`: the kernel's own style checkers on the kernel code. */
export const kernelLintCommand: Command = defineCommand(PATCHES_OPTIONS, {
  about: "run checkpatch --strict, kernel-doc, sparse and the extra warnings of gcc on the kernel code",
  async run(options, { terminal }) {
    const reports = await lintSeries(await loadPatches(options, terminal));
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
