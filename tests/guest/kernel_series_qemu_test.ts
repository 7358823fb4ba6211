// SPDX-License-Identifier: MIT
/**
 * The port as a series of patches. It boots no guest, but needs the kernel's source and a compiler.
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { basename, join } from "@std/path";
import { cacheDirectory } from "../../vm/host/own_directories.ts";
import { BuildError } from "../../vm/kernel/build/build_error.ts";
import { planKernel } from "../../vm/kernel/build/build_kernel.ts";
import { wantedFiles } from "../../vm/kernel/source/kernel_tree.ts";
import { applySeries, exportSeries } from "../../vm/kernel/patches/export_series.ts";
import { loadSeries, type Series } from "../../vm/kernel/patches/load_series.ts";
import { withSeriesTree } from "../../vm/kernel/patches/build_series.ts";
import { stageFiles } from "../../vm/kernel/patches/series_plan.ts";

const AUTHOR = { name: "Ada Byron", email: "ada@example.org", date: "1767222000 +0000" };
const cacheDir = cacheDirectory();
let series: Series;
let dir = "";

Deno.test.beforeAll(async () => {
  dir = await Deno.makeTempDir({ prefix: "ckptest-series-" });
  series = await loadSeries({ series: "6.1", cacheDir });
});

Deno.test.afterAll(() => Deno.remove(dir, { recursive: true }));

function write(name: string): Promise<string[]> {
  return exportSeries({ series, author: AUTHOR, outDir: join(dir, name), cacheDir });
}

Deno.test("a series is written twice with the same bytes, and signed", async () => {
  const [first, second] = [await write("first"), await write("second")];
  assertEquals(first.length, series.plan.patches.length + 1);
  assertEquals(first.map((path) => basename(path)), second.map((path) => basename(path)));
  for (const [index, path] of first.entries()) {
    const text = await Deno.readTextFile(path);
    assertEquals(text, await Deno.readTextFile(second[index] ?? ""), path);
    assertStringIncludes(text, "From: Ada Byron <ada@example.org>\n");
    assertStringIncludes(text, "Date: Wed, 31 Dec 2025 23:00:");
    if (index > 0) assertStringIncludes(text, "\nSigned-off-by: Ada Byron <ada@example.org>\n---\n");
  }
});

Deno.test("git am takes the series without a warning, and makes the tree that is built", async () => {
  const mails = await write("applied");
  await applySeries({ series, mails, cacheDir });
  const { edits } = await planKernel({ arch: "i386", source: { kind: "debian", series: "6.1" } });
  const wanted = await wantedFiles({ pristine: series.pristine, edits, cacheDir });
  const built = new Map([...wanted].map(([file, bytes]) => [file, new TextDecoder().decode(bytes)]));
  assertEquals([...series.stages.at(-1) ?? []].toSorted(), [...built].toSorted());
});

Deno.test("a mail that git am warns of, or that makes another tree, is found", async () => {
  const mails = await write("spoilt");
  const path = mails.at(-1) ?? "";
  const good = await Deno.readTextFile(path);
  const added = "+COND_SYSCALL(restart);\n";
  assert(good.includes(added));
  await Deno.writeTextFile(path, good.replace(added, "+COND_SYSCALL(restart); \n"));
  const blank = await assertRejects(() => applySeries({ series, mails, cacheDir }), BuildError);
  assertStringIncludes(blank.message, "trailing whitespace");
  await Deno.writeTextFile(path, good.replace(added, "+COND_SYSCALL(restarT);\n"));
  const other = await assertRejects(() => applySeries({ series, mails, cacheDir }), BuildError);
  assertStringIncludes(other.message, "gives another tree\n  kernel/sys_ni.c differs");
  const short = await assertRejects(
    () => applySeries({ series, mails: mails.slice(0, -1), cacheDir }),
    BuildError,
  );
  const count = series.plan.patches.length;
  assertStringIncludes(short.message, `expected ${count} patches, found ${count - 1}`);
});

Deno.test("a directory that holds something else is left alone", async () => {
  await Deno.mkdir(join(dir, "mine"));
  await Deno.writeTextFile(join(dir, "mine", "letter.txt"), "keep me\n");
  const error = await assertRejects(() => write("mine"), BuildError);
  assertStringIncludes(error.message, "something else than a series: letter.txt");
  assertEquals(await Deno.readTextFile(join(dir, "mine", "letter.txt")), "keep me\n");
});

Deno.test("a patch that brings a function before its caller is found", async () => {
  // The region begins one function later, so that cr_vma_find() comes with the patch before.
  const from = "/*\n * Collect pages of a VMA for the next chunk";
  const regions = series.plan.regions.map((region) =>
    region.from?.startsWith("/* find the VMA again") ? { ...region, from } : region
  );
  assertEquals(regions.filter((region) => region.from === from).length, 1);
  const plan = { ...series.plan, regions };
  const spoilt = { ...series, plan, stages: stageFiles(plan, series.stages.at(-1) ?? new Map()) };
  const index = plan.patches.findIndex(({ name }) => name === "vmas");
  const { findings } = await withSeriesTree(
    { series: spoilt, cacheDir },
    (tree) => tree.checkObjects({ tool: "W=1", arches: ["x86_64"], index }),
  );
  assertEquals(findings.map(({ file, type }) => [file, type]), [
    ["checkpoint/ckpt_mem.c", "-Wunused-function"],
  ]);
});
