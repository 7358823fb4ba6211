// SPDX-License-Identifier: MIT

import { addCoverage, type Coverage, type LineCoverage } from "./coverage.ts";

/** The parts of gcov's JSON that are used (gcov(1), "JSON intermediate format"). */
interface GcovOutput {
  readonly files: GcovFile[];
}

interface GcovFile {
  readonly file: string;
  readonly lines: GcovLine[];
}

interface GcovLine {
  readonly line_number: number;
  readonly count: number;
  readonly branches: { readonly count: number }[];
}

/**
 * Reads what `gcov --json-format --branch-probabilities --stdout` prints for one object.
 *
 * @param paths the files that count, by their path in the kernel tree; what else was inlined is left out
 * @throws {SyntaxError} for other text
 */
export function parseGcov(text: string, paths: readonly string[]): Coverage {
  const output = JSON.parse(text) as GcovOutput;
  if (!Array.isArray(output.files)) {
    throw new SyntaxError(`gcov: expected "files", found ${text.slice(0, 60)}`);
  }
  const coverage: Coverage = new Map();
  for (const { file, lines } of output.files) {
    const path = paths.find((path) => file === path || file.endsWith(`/${path}`));
    if (path === undefined) continue;
    for (const { line_number, count, branches } of lines) {
      const line: LineCoverage = { count, branches: branches.map(({ count }) => count) };
      // A line of an inline function comes once for each function that it was put into.
      addCoverage(coverage, new Map([[path, { lines: new Map([[line_number, line]]) }]]));
    }
  }
  return coverage;
}
