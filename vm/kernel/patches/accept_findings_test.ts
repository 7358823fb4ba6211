// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import {
  type AcceptedFinding,
  acceptFindings,
  type LintFinding,
  readAcceptedFindings,
} from "./accept_findings.ts";

const FINDING: LintFinding = { tool: "checkpatch", type: "ENOSYS", file: "a.c", line: 3, text: "no" };
const ENTRY: AcceptedFinding = { tool: "checkpatch", type: "ENOSYS", file: "a.c", count: 1, reason: "so" };

Deno.test("acceptFindings() excuses what the list names, and nothing else", () => {
  const other = [
    { ...FINDING, file: "b.c" },
    { ...FINDING, type: "LONG_LINE" },
    { ...FINDING, tool: "sparse" as const },
  ];
  assertEquals(acceptFindings([FINDING, ...other], [ENTRY]), {
    rejected: other,
    accepted: [{ finding: FINDING, reason: "so" }],
    stale: [],
  });
});

Deno.test("acceptFindings() excuses nothing by an entry that counts wrong, and says so", () => {
  const twice = [FINDING, { ...FINDING, line: 9 }];
  const judged = acceptFindings(twice, [ENTRY]);
  assertEquals([judged.rejected, judged.stale.length], [twice, 1]);
  assertEquals(acceptFindings([], [ENTRY]).stale, [
    "checkpatch ENOSYS in a.c: 1 accepted, 0 found: change accepted_findings.json",
  ]);
  assertEquals(acceptFindings([], [{ ...ENTRY, count: 0 }]).stale.length, 1);
});

Deno.test("each accepted finding of the project has a reason", async () => {
  for (const { reason, file } of await readAcceptedFindings()) assertEquals(reason.length > 20, true, file);
});
