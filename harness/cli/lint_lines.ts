// SPDX-License-Identifier: MIT

import {
  type JudgedFindings,
  type LintFinding,
  type LintReport,
} from "../../vm/kernel/patches/accept_findings.ts";

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
