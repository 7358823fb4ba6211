// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { LintFinding } from "../../../vm/kernel/patches/accept_findings.ts";
import { lintLines } from "./kernel_lint.ts";

const FINDING: LintFinding = { tool: "checkpatch", type: "ENOSYS", file: "a.c", line: 3, text: "wrong" };

Deno.test("lintLines() has a line for each tool, and below it what it found", () => {
  const other: LintFinding = { ...FINDING, tool: "sparse", type: "", file: "b.c" };
  const reports = [
    { tool: "checkpatch" as const, looked: "6 patches", findings: [FINDING], elsewhere: 0 },
    { tool: "sparse" as const, looked: "4 sources", findings: [other], elsewhere: 2 },
  ];
  const judged = {
    rejected: [other],
    accepted: [{ finding: FINDING, reason: "it is so" }],
    stale: ["checkpatch X in a.c"],
  };
  assertEquals(lintLines(reports, judged), [
    "checkpatch  0 found, 1 accepted (6 patches)",
    "  accepted: a.c:3: ENOSYS: wrong\n    since it is so",
    "sparse      1 found, 2 in files of the kernel's (4 sources)",
    "  b.c:3: wrong",
    "out of date  checkpatch X in a.c",
  ]);
});
