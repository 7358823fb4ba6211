// SPDX-License-Identifier: MIT
import type { KernelArch } from "../../../lib/abi/arch.ts";
import { BuildError } from "../build/build_error.ts";
import type { LintFinding, LintReport } from "./accept_findings.ts";
import type { SeriesTree } from "./series_tree.ts";

/** What make is told for each of the tools that see the port as the compiler sees it. */
const CALLS = {
  "W=1": { variables: ["W=1"], step: "CC" },
  sparse: { variables: ["C=2", "CF=-fdiagnostic-prefix"], step: "CHECK" },
} as const;

interface CheckObjectsOptions {
  tree: SeriesTree;
  tool: keyof typeof CALLS;
  arches: readonly KernelArch[];
  /** Index of the patch after which the port is looked at. */
  index: number;
}

/**
 * Has gcc (with the kernel's extra warnings) or sparse look at each source of the port. What one line earns
 * on two architectures counts once.
 *
 * @throws {BuildError} of stage `build` when a source does not compile, or was not looked at.
 */
export async function checkObjects(options: CheckObjectsOptions): Promise<LintReport> {
  const { tree, tool, arches, index } = options;
  const own = tree.sources(index);
  const expected = own.filter((file) => file.endsWith(".c"));
  const findings = new Map<string, LintFinding>();
  const elsewhere = new Set<string>();
  for (const arch of arches) {
    const { diagnostics, sources } = await tree.makeObjects({ arch, index, ...CALLS[tool] });
    const missing = expected.filter((file) => !sources.includes(file));
    if (missing.length > 0) {
      throw new BuildError({
        stage: "build",
        problem: `${tool} (${arch}) passed over ${missing.join(", ")}`,
      });
    }
    for (const { file, line, text } of diagnostics) {
      const key = `${file}:${line}:${text}`;
      const type = /\[(-W[\w+=-]+)\]$/.exec(text)?.[1] ?? "";
      if (own.includes(file)) findings.set(key, { tool, type, file, line, text });
      else elsewhere.add(key);
    }
  }
  return {
    tool,
    looked: `${expected.length} sources on ${arches.join(", ")}`,
    findings: [...findings.values()],
    elsewhere: elsewhere.size,
  };
}
