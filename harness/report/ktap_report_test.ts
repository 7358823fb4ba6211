// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { exists } from "@std/fs";
import { dirname, join } from "@std/path";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import { ktapReport } from "./ktap_report.ts";
import { runIfInstalled } from "./testing/run_if_installed.ts";
import { hostileTree, recordedTree } from "./testing/sample_tree.ts";

interface KtapCounts {
  passed: number;
  failed: number;
  skipped: number;
}

/**
 * Reads KTAP strictly, stricter than the kernel's own parser: the version and plan first, numbers in order,
 * every test of the plan there and none beyond, a parent not ok when one of its tests is not.
 */
function parseKtap(text: string): KtapCounts {
  const lines = text.split("\n");
  assertEquals(lines.pop(), "", "the text ends with a line end");
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let at = 0;
  const fail = (what: string): never => {
    throw new SyntaxError(`line ${at + 1}: ${what}: ${JSON.stringify(lines[at])}`);
  };
  function level(indent: string): boolean {
    if (lines[at++] !== `${indent}KTAP version 1`) fail("no version line");
    if (/^ *# Subtest: \S/.test(lines[at] ?? "")) at++;
    const plan = Number(
      new RegExp(`^${indent}1\\.\\.([1-9]\\d*)$`).exec(lines[at++] ?? "")?.[1] ?? fail("no plan"),
    );
    let allOk = true;
    for (let number = 1; number <= plan; number++) {
      let nested: boolean | undefined;
      while (at < lines.length) {
        const line = lines[at] ?? "";
        if (line.startsWith(`${indent}  KTAP version`)) nested = level(`${indent}  `);
        else if (line.startsWith(`${indent}# | `) || line === `${indent}# |`) at++;
        else break;
      }
      const match = new RegExp(`^${indent}(ok|not ok) ${number} ([^#]*[^# ])( # ([A-Z]+) .*\\S)?$`).exec(
        lines[at] ?? "",
      );
      if (!match) throw fail(`no result of test ${number}`);
      const isOk = match[1] === "ok";
      if (nested !== undefined && nested !== isOk) fail("the parent says other than its tests");
      if (match[4] === "SKIP") counts.skipped++;
      else if (nested === undefined) counts[isOk ? "passed" : "failed"]++;
      allOk &&= isOk;
      at++;
    }
    return allOk;
  }
  level("");
  if (at !== lines.length) fail("something after the end");
  return counts;
}

/** The parser of Linux 6.1, from a source in the cache: that of 5.10 is another. */
async function kernelParser(): Promise<string | undefined> {
  const sources = join(cacheDirectory(), "src");
  if (await runIfInstalled("python3", ["--version"]) === undefined || !await exists(sources)) {
    return undefined;
  }
  for await (const { name } of Deno.readDir(sources)) {
    const path = join(sources, name, "tools/testing/kunit/kunit_parser.py");
    if (name.startsWith("debian-6.1-") && await exists(path)) return path;
  }
  return undefined;
}

const PARSER = await kernelParser();

/** What the kernel's parser makes of a report. */
async function parseByKernel(text: string): Promise<KtapCounts & { crashed: number; errors: number }> {
  const script = `
import json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import io, kunit_parser
kunit_parser.stdout._output = io.StringIO()
c = kunit_parser.parse_run_tests(open(sys.argv[2], newline="\\n").read().splitlines()).counts
print(json.dumps({k: getattr(c, k) for k in ("passed", "failed", "skipped", "crashed", "errors")}))
`;
  const directory = await Deno.makeTempDir({ prefix: "ckptest-ktap-" });
  try {
    const file = join(directory, "report.ktap");
    await Deno.writeTextFile(file, text);
    const result = await runIfInstalled("python3", ["-c", script, dirname(PARSER ?? ""), file]);
    if (result?.code !== 0) throw new Error(result?.stderr);
    return JSON.parse(result.stdout);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("ktapReport() nests scenarios in jobs, with what went wrong before the result", async () => {
  const text = ktapReport(await recordedTree("run"));
  assertStringIncludes(
    text,
    "KTAP version 1\n1..2\n  KTAP version 1\n  # Subtest: x86_64\n  1..10\n  ok 1 adjacent_areas\n",
  );
  assertStringIncludes(text, "  # |   cr_write_mm_context+0x113/0x140 (arch/x86/mm/checkpoint.c:414)\n");
  assertStringIncludes(
    text,
    "  # | reproduce: deno task test:qemu --arch x86_64 --filter ldt_one\n  not ok 7 ldt_one\n",
  );
  assertStringIncludes(text, "  ok 9 program_gdb # SKIP not installed: gdb (Debian package gdb)\n");
  assertStringIncludes(
    text,
    "  not ok 10 swap_loop # ERROR guest lost: the guest did not answer within 30 s\n",
  );
  assertStringIncludes(text, "\nnot ok 1 x86_64\n");
  assert(text.endsWith("\nok 2 i386\n"));
});

Deno.test("ktapReport() makes failures of jobs that were not built or did not run", async () => {
  const text = ktapReport(await recordedTree("nightly"));
  assertStringIncludes(
    text,
    "not ok 4 5.10/x86_64/plain/catalogue # ERROR the kernel was not built: make vmlinux ended with status 2\n",
  );
  assertStringIncludes(
    text,
    "not ok 6 6.12/i386/plain/catalogue # ERROR did not run: the budget of 2 h was used up\n",
  );
});

Deno.test("ktapReport() holds to a strict reading of KTAP, hostile texts and all", async () => {
  assertEquals(parseKtap(ktapReport(await recordedTree("run"))), { passed: 12, failed: 3, skipped: 1 });
  assertEquals(parseKtap(ktapReport(await recordedTree("nightly"))), { passed: 60, failed: 7, skipped: 2 });
  assertEquals(parseKtap(ktapReport(hostileTree())), { passed: 0, failed: 1, skipped: 0 });
});

Deno.test("the strict reading refuses reports that were broken", async () => {
  const text = ktapReport(await recordedTree("run"));
  const breaks: [string, string][] = [
    ["KTAP version 1", "TAP version 13"],
    ["1..2\n", "1..3\n"],
    ["  1..10\n", "  1..9\n"],
    ["  ok 2 anon_dirty\n", ""],
    ["ok 2 i386", "not ok 2 i386"],
    ["not ok 1 x86_64", "ok 1 x86_64"],
    ["ok 3 ", "ok 4 "],
    ["  # | ", "  "],
  ];
  for (const [from, to] of breaks) {
    const broken = text.replace(from, to);
    assert(broken !== text, `nothing to break: ${from}`);
    assertThrows(() => parseKtap(broken), SyntaxError, undefined, `let through: ${to}`);
  }
});

Deno.test({
  name: "the kernel's kunit_parser.py reads ktapReport() as it was meant (needs python3 and a kernel source)",
  ignore: PARSER === undefined,
  async fn() {
    const clean = { crashed: 0, errors: 0 };
    const run = ktapReport(await recordedTree("run"));
    assertEquals(await parseByKernel(run), { passed: 12, failed: 3, skipped: 1, ...clean });
    const text = ktapReport(await recordedTree("nightly"));
    assertEquals(await parseByKernel(text), { passed: 60, failed: 7, skipped: 2, ...clean });
    assertEquals(await parseByKernel(ktapReport(hostileTree())), {
      passed: 0,
      failed: 1,
      skipped: 0,
      ...clean,
    });
    const { errors } = await parseByKernel(run.replace("  ok 2 anon_dirty\n", ""));
    assert(errors > 0, "a report that lacks a line was let through");
  },
});
