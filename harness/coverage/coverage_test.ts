// SPDX-License-Identifier: MIT

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { parseJson } from "../../lib/schema.ts";
import { readOverlay } from "../../vm/kernel/source/kernel_overlay.ts";
import { UsageError } from "../../vm/host/errors.ts";
import {
  addCoverage,
  branchShare,
  type Coverage,
  coverageLcov,
  explainLines,
  formatShare,
  judgeLines,
  lineShare,
  readUnreachableLines,
  UNREACHABLE_LINES,
} from "./coverage.ts";
import { coveragePage } from "./coverage_page.ts";
import { parseGcov } from "./read_coverage.ts";

/** What gcov prints of a file of two lines with code, and of a header that nobody asked for. */
function gcov(first: number, second: number): string {
  const line = (line_number: number, count: number, branches: number[]): unknown => ({
    ...{ line_number, count, branches: branches.map((count) => ({ count })) },
  });
  return JSON.stringify({
    files: [
      { file: "../../trees/x/checkpoint/a.c", lines: [line(2, first, [first, 0]), line(3, second, [])] },
      { file: "/usr/include/b.h", lines: [line(1, 1, [])] },
    ],
  });
}

const PATH = "checkpoint/a.c";
const SOURCES = new Map([[PATH, ["/* <a> */", "if (x)", "\treturn 1;"]]]);

Deno.test("parseGcov() takes the files that count, addCoverage() adds guests up", () => {
  const coverage = parseGcov(gcov(2, 0), [PATH]);
  assertEquals([...coverage.keys()], [PATH]);
  assertEquals(formatShare(lineShare(coverage.values())), "50 % (1 of 2)");
  addCoverage(coverage, parseGcov(gcov(1, 3), [PATH]));
  assertEquals(coverage.get(PATH)?.lines.get(2), { count: 3, branches: [3, 0] });
  assertEquals(formatShare(lineShare(coverage.values())), "100 % (2 of 2)");
  assertEquals(branchShare(coverage.values()), { total: 2, reached: 1 });
  assertThrows(() => parseGcov("{}", [PATH]), SyntaxError, "files");
});

Deno.test("formatShare() calls only the whole 100 %", () => {
  assertEquals(formatShare({ total: 10_000, reached: 9_999 }), "99.9 % (9999 of 10000)");
});

Deno.test("explainLines() finds a line by its text, and refuses what fits none, many, or a line that ran", () => {
  const coverage: Coverage = parseGcov(gcov(2, 0), [PATH]);
  const entry = { file: PATH, text: "return 1;", reason: "never" };
  assertEquals(explainLines([entry], SOURCES, coverage).get(PATH)?.get(3), "never");
  assertEquals(explainLines([{ ...entry, after: "if (x)" }], SOURCES, coverage).get(PATH)?.get(3), "never");
  const refused = (wrong: object): unknown =>
    assertThrows(() => explainLines([{ ...entry, ...wrong }], SOURCES, coverage), UsageError);
  refused({ text: "return 2;" });
  refused({ after: "if (y)" });
  refused({ text: "if (x)" });
});

Deno.test("every explained line is in the kernel code once", async () => {
  const overlay = await readOverlay(fromFileUrl(new URL("../../vm/kernel/overlay", import.meta.url)));
  const decoder = new TextDecoder();
  const sources = new Map([...overlay].map(([path, bytes]) => [path, decoder.decode(bytes).split("\n")]));
  const explained = await readUnreachableLines();
  const found = [...explainLines(explained, sources, new Map()).values()];
  assertEquals(found.reduce((sum, { size }) => sum + size, 0), explained.length);
});

Deno.test("coveragePage() shows counts, marks lines, and escapes the source", () => {
  const coverage = parseGcov(gcov(2, 0), [PATH]);
  const page = coveragePage({ title: "a & b", coverage, sources: SOURCES, explained: new Map() });
  for (const part of ["a &amp; b", "/* &lt;a&gt; */", `class="part"`, `class="not"`, "50 % (1 of 2)"]) {
    assertStringIncludes(page, part);
  }
  const explained = new Map([[PATH, new Map([[3, "never"]])]]);
  assertStringIncludes(coveragePage({ title: "", coverage, sources: SOURCES, explained }), "-- never");
});

Deno.test("coverageLcov() writes lines and branches as lcov has them, with their sums", () => {
  const coverage = parseGcov(gcov(2, 0), [PATH]);
  coverage.get(PATH)!.lines.set(9, { count: 0, branches: [0, 0] });
  assertEquals(coverageLcov(coverage, "vm/kernel/overlay/").split("\n"), [
    ...["TN:", "SF:vm/kernel/overlay/checkpoint/a.c"],
    ...["BRDA:2,0,0,2", "BRDA:2,0,1,0", "BRDA:9,0,0,-", "BRDA:9,0,1,-", "BRF:4", "BRH:1"],
    ...["DA:2,2", "DA:3,0", "DA:9,0", "LF:3", "LH:1", "end_of_record", ""],
  ]);
});

Deno.test("an explained line that is not as it must be is refused, with its place", () => {
  const line = { file: "a.c", text: "x;", reason: "r" };
  const parse = (change: object) => parseJson(UNREACHABLE_LINES, [{ ...line, ...change }], { file: "u" });
  assertEquals(parse({}), [line]);
  assertThrows(() => parse({ text: " x;" }), SyntaxError, "u: $[0].text: expected a line without blanks");
  assertThrows(() => parse({ reason: "" }), SyntaxError, "u: $[0].reason: expected a reason");
  assertThrows(() => parse({ line: 3 }), SyntaxError, "u: $[0].line: expected one of the keys file, text, ");
});

Deno.test("judgeLines() names lines that never ran and are not explained, of those that changed", () => {
  const lines = new Map([3, 0, 0, 0].map((count, index) => [index + 1, { count, branches: [] }]));
  const coverage: Coverage = new Map([[PATH, { lines }], ["checkpoint/b.c", { lines }]]);
  const explained = new Map([[PATH, new Map([[4, "never"]])]]);
  const judge = (changed?: [string, number[]][]) => {
    const sets = changed && new Map(changed.map(([path, numbers]) => [path, new Set(numbers)]));
    const { judged, excused, unreached } = judgeLines({ coverage, explained, changed: sets });
    return [judged, excused, unreached.map(({ path, line }) => `${path}:${line}`).join(" ")];
  };
  const b = "checkpoint/b.c:2 checkpoint/b.c:3 checkpoint/b.c:4";
  assertEquals(judge(), [8, 1, `${PATH}:2 ${PATH}:3 ${b}`]);
  assertEquals(judge([[PATH, [1, 3, 4, 99]]]), [3, 1, `${PATH}:3`]);
  assertEquals(judge([[PATH, [1, 4]], ["other.c", [2]]]), [2, 1, ""]);
  assertEquals(judge([]), [0, 1, ""]);
});
