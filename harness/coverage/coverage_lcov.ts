// SPDX-License-Identifier: MIT

import { branchShare, type Coverage, lineShare } from "./coverage.ts";

/**
 * Coverage as a trace file of lcov (geninfo(1)), which genhtml and editors read.
 *
 * @param prefix the directory of the sources, before each path
 */
export function coverageLcov(coverage: Coverage, prefix: string): string {
  const records = [...coverage].map(([path, file]) => {
    const lines = [...file.lines].toSorted(([a], [b]) => a - b);
    const [all, branches] = [lineShare([file]), branchShare([file])];
    return [
      "TN:",
      `SF:${prefix}${path}`,
      ...lines.flatMap(([number, { count, branches }]) =>
        // Of a line that never ran nobody knows which way it would have gone.
        branches.map((taken, index) => `BRDA:${number},0,${index},${count > 0 ? taken : "-"}`)
      ),
      `BRF:${branches.total}`,
      `BRH:${branches.reached}`,
      ...lines.map(([number, { count }]) => `DA:${number},${count}`),
      `LF:${all.total}`,
      `LH:${all.reached}`,
      "end_of_record",
    ];
  });
  return `${records.flat().join("\n")}\n`;
}
