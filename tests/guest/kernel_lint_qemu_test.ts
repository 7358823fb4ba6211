// SPDX-License-Identifier: MIT
/**
 * The kernel's style checkers. They boot no guest, but need the kernel's source and a compiler.
 */
import { assertEquals } from "@std/assert";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import type { OverlayEdit } from "../../vm/kernel/source/kernel_overlay.ts";
import {
  acceptFindings,
  type LintFinding,
  type LintTool,
  readAcceptedFindings,
} from "../../vm/kernel/patches/accept_findings.ts";
import { lintSeries } from "../../vm/kernel/patches/lint_series.ts";
import { loadSeries } from "../../vm/kernel/patches/load_series.ts";

const SYS = "checkpoint/sys.c";

/** What is left of the findings of some tools, on a port that was edited. */
async function lint(tools: readonly LintTool[], mutations: OverlayEdit[] = []): Promise<LintFinding[]> {
  const cacheDir = cacheDirectory();
  const series = await loadSeries({ series: "6.1", cacheDir, mutations });
  const reports = await lintSeries({ series, cacheDir, arches: ["x86_64"], tools });
  const list = (await readAcceptedFindings()).filter(({ tool }) => tools.includes(tool));
  const { rejected, stale } = acceptFindings(reports.flatMap(({ findings }) => findings), list);
  assertEquals(stale, []);
  return rejected;
}

/** Asserts that a tool finds one thing in an edited file, and nothing else. */
async function assertFound(tool: LintTool, edits: [string, string][], type: string): Promise<void> {
  const mutations = edits.map(([find, replace]) => ({ file: SYS, find, replace }));
  const findings = await lint([tool], mutations);
  assertEquals(findings.map((finding) => [finding.tool, finding.file, finding.type]), [[tool, SYS, type]]);
}

Deno.test("the port is clean for all tools", async () => {
  assertEquals(await lint(["checkpatch", "kernel-doc", "sparse", "W=1"]), []);
});

Deno.test("checkpatch finds a blank at the end of a line", async () => {
  await assertFound("checkpatch", [["\tif (flags)\n", "\tif (flags) \n"]], "TRAILING_WHITESPACE");
});

Deno.test("kernel-doc finds a parameter that is not documented", async () => {
  await assertFound("kernel-doc", [[" * @buf: buffer\n * @count: its length\n", " * @buf: buffer\n"]], "");
});

Deno.test("kernel-doc misses a function that a header declares and nothing documents", async () => {
  const mutations = [{ file: SYS, find: "/**\n * cr_kwrite -", replace: "/*\n * cr_kwrite -" }];
  const findings = await lint(["kernel-doc"], mutations);
  assertEquals(findings.map(({ file, text }) => [file, text]), [
    ["include/linux/checkpoint.h", "function cr_kwrite is declared here and documented nowhere"],
  ]);
});

Deno.test("sparse finds a variable that is not static", async () => {
  await assertFound("sparse", [["static atomic_t cr_ctx_count", "atomic_t cr_ctx_count"]], "");
});

Deno.test("gcc's extra warnings find a variable that is set and never read", async () => {
  await assertFound("W=1", [
    ["\tsize_t done = 0;\n", "\tsize_t done = 0;\n\tssize_t planted;\n"],
    ["\t\tdone += n;\n", "\t\tdone += n;\n\t\tplanted = n;\n"],
  ], "-Wunused-but-set-variable");
});
