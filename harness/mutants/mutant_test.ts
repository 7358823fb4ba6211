// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { OWN_OVERLAY } from "../../vm/kernel/build/build_kernel.ts";
import { editFiles, readOverlay } from "../../vm/kernel/source/kernel_overlay.ts";
import { parsePlatforms } from "../run/platform.ts";
import { readCatalogue } from "../run/catalogue.ts";
import { groupEquivalents } from "./group_equivalents.ts";
import { parseMutant, readMutants } from "./mutant.ts";
import { isOfRestart, mutantKernelFiles } from "./mutant_kernel.ts";

const MUTANT = `Whether there is a page
is not asked.

Bug: 1b
Scenario: anon_dirty
Finding: E_PAGE_MISSING at vma: not in
 the image

--- a/checkpoint/ckpt_mem.c
+++ b/checkpoint/ckpt_mem.c
@@ -10,3 +10,3 @@
 before
-\tif (pte_none(pte))
+\tif (0)
 after
@@ -20,1 +20,2 @@
 last
+one more
`;

Deno.test("a mutant is a sentence, what must see it, and a diff", () => {
  assertEquals(parseMutant(MUTANT, "/m/no_page.patch"), {
    name: "no_page",
    about: "Whether there is a page is not asked.",
    bug: "1b",
    platform: "x86_64",
    scenario: "anon_dirty",
    finding: "E_PAGE_MISSING at vma: not in the image",
    edits: [
      {
        file: "checkpoint/ckpt_mem.c",
        find: "before\n\tif (pte_none(pte))\nafter\n",
        replace: "before\n\tif (0)\nafter\n",
      },
      { file: "checkpoint/ckpt_mem.c", find: "last\n", replace: "last\none more\n" },
    ],
  });
});

Deno.test("a mutant that is not as it must be is refused, with file and place", () => {
  const cases: [find: string | RegExp, replace: string, message: string][] = [
    ["is not asked.", "is not asked", "m.patch: $.about: expected a sentence"],
    ["Bug: 1b", "Bug: b", "m.patch: $.bug: expected a number such as"],
    ["Bug: 1b", "Bugs: 1", "m.patch: $.bugs: expected one of the keys about, "],
    ["Bug: 1b", "Bug 1", 'm.patch: expected "Key: value", each key once: found "Bug 1"'],
    ["Bug: 1b", "Scenario: minimal", "m.patch: expected "],
    ["anon_dirty", "a/../b", "m.patch: $.scenario: expected a plain name"],
    ["E_PAGE", "PAGE", "m.patch: $.finding: expected a finding"],
    ["+++ b/checkpoint/ckpt_mem.c", "+++ b/other.c", "m.patch: expected --- a/FILE and +++ b/FILE"],
    [/---[^]*/, "", "m.patch: expected a unified diff: found no hunk"],
  ];
  for (const [find, replace, message] of cases) {
    const text = MUTANT.replace(find, replace);
    const error = assertThrows(() => parseMutant(text, "m.patch"), SyntaxError);
    assertStringIncludes(error.message, message);
  }
});

Deno.test("every mutant fits the kernel code as it is, and names what there is", async () => {
  const overlay = await readOverlay(OWN_OVERLAY);
  const scenarios = new Set((await readCatalogue()).map(({ name }) => name));
  const mutants = await readMutants();
  for (const { name, edits, scenario, platform, finding, equivalent, survives } of mutants) {
    const edited = await editFiles(edits, (file) => Promise.resolve(overlay.get(file)));
    const decoder = new TextDecoder();
    assert(
      [...edited].some(([file, text]) => decoder.decode(text) !== decoder.decode(overlay.get(file))),
      name,
    );
    parsePlatforms({ arch: platform, fallback: "x86_64" });
    if (equivalent !== undefined || survives !== undefined) continue;
    assert(scenario !== undefined && scenarios.has(scenario), `${name}: ${scenario} is no scenario`);
    assert(finding !== undefined, `${name} names no finding`);
  }
  // What the main job names: cnt between chunks, the last page, stale padding, an LDT one entry short.
  for (const name of ["chunk_count_not_reset", "last_page_skipped", "stale_padding", "ldt_one_entry_short"]) {
    assert(mutants.some((mutant) => mutant.name === name), `${name} is missing`);
  }
});

Deno.test("a kernel of mutants has each under its own name, and a header's changes come first", async () => {
  const overlay = await readOverlay(OWN_OVERLAY);
  const edit = { file: "include/linux/checkpoint.h", find: "struct bio_vec;", replace: "struct bio_vec2;" };
  const files = await mutantKernelFiles(overlay, [{ name: "one", edits: [edit] }, {
    name: "two",
    edits: [],
  }]);
  const textOf = (file: string): string => new TextDecoder().decode(files.get(`checkpoint/${file}`));
  assertStringIncludes(textOf("Makefile"), "mutants.o mutants/unchanged.o mutants/one.o mutants/two.o\n");
  assertStringIncludes(
    textOf("mutants.c"),
    "\tcheckpoint__unchanged,\n\tcheckpoint__one,\n\tcheckpoint__two,\n",
  );
  assertStringIncludes(
    textOf("mutants.c"),
    "\trestart__unchanged,\n\trestart__unchanged,\n\trestart__unchanged,\n",
  );
  const [one, two] = [textOf("mutants/one.c"), textOf("mutants/two.c")];
  for (const [name, text] of [["one", one], ["two", two]] as const) {
    for (
      const symbol of ["cr_write_mm", "cr_fill_fname", "cr_write_cpu", "cr_pgarr_alloc", "do_checkpoint"]
    ) {
      assertStringIncludes(text, `#define ${symbol} ${symbol}__${name}\n`);
    }
    assertStringIncludes(text, '#line 1 "checkpoint/ckpt_mem.c"\n');
  }
  assert(one.indexOf("struct bio_vec2;") < one.indexOf("#include <linux/syscalls.h>"));
  assert(one.includes("struct bio_vec2;") && !two.includes("bio_vec2"));
});

Deno.test("a mutant of restart(2) has that call, headers beside its source, and the one parameter", async () => {
  const overlay = await readOverlay(OWN_OVERLAY);
  const edits = [{ file: "checkpoint/restart.c", find: "\t\tdone += n;\n", replace: "\t\tdone = n;\n" }];
  assert(isOfRestart({ edits }) && !isOfRestart({ edits: [{ ...edits[0]!, file: "checkpoint/sys.c" }] }));
  const files = await mutantKernelFiles(overlay, [{ name: "one", edits }, { name: "two", edits: [] }]);
  const textOf = (file: string): string => new TextDecoder().decode(files.get(`checkpoint/${file}`));
  assertStringIncludes(
    textOf("mutants.c"),
    "\trestart__unchanged,\n\trestart__one,\n\trestart__unchanged,\n",
  );
  assertStringIncludes(textOf("mutants.c"), "bool cr_unprivileged;\ncore_param(restart_unprivileged, ");
  const [one, two] = [textOf("mutants/one.c"), textOf("mutants/two.c")];
  assertStringIncludes(one, "\nextern bool cr_unprivileged;\n");
  assertStringIncludes(one, "\t\tdone = n;\n");
  assertStringIncludes(one, '#include "arch/x86/kernel/fpu/internal.h"');
  assertStringIncludes(one, "#define cr_commit cr_commit__one\n");
  assert(!two.includes("core_param") && !two.includes("cr_unprivileged;"));
});

Deno.test("what is said to be equivalent is one mutant, but for what overlaps or is met elsewhere", async () => {
  const overlay = new Map(
    Object.entries({ "checkpoint/sys.c": "a;\nb;\nc;\n", "checkpoint/restart.c": "a;\n" })
      .map(([file, text]) => [file, new TextEncoder().encode(text)]),
  );
  const edit = (find: string, replace: string, file = "checkpoint/sys.c") => ({ file, find, replace });
  const mutant = (name: string, edits: ReturnType<typeof edit>[], platform = "x86_64") =>
    ({ name, platform, edits, about: "It is.", equivalent: "It is." }) as const;
  const { equivalent: _, ...killed } = mutant("killed", [edit("c;\n", "x;\n")]);
  const groups = await groupEquivalents([
    ...[mutant("one", [edit("a;\n", "x;\n")]), mutant("overlaps", [edit("a;\nb;\n", "y;\n")]), killed],
    ...[mutant("two", [edit("b;\n", "z;\n")]), mutant("i386", [edit("c;\n", "z;\n")], "i386")],
    mutant("restarted", [edit("a;\n", "z;\n", "checkpoint/restart.c")]),
  ], overlay);
  assertEquals(
    groups.map(({ name, members, platform }) => [name, platform, members?.map(({ name }) => name)]),
    [
      ["equivalents_1", "x86_64", ["one", "two"]],
    ],
  );
  assertEquals(groups[0]?.edits, [edit("a;\n", "x;\n"), edit("b;\n", "z;\n")]);
});
