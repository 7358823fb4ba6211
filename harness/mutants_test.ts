// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { editFiles, readOverlay } from "../vm/kernel/source/kernel_overlay.ts";
import { readCatalogue } from "./run/catalogue.ts";
import { parseJson } from "../lib/schema.ts";
import { MUTANTS, readMutants } from "./mutants.ts";

Deno.test("every mutant fits the kernel code as it is, and names a scenario that there is", async () => {
  const overlay = await readOverlay(fromFileUrl(new URL("../vm/kernel/overlay", import.meta.url)));
  const scenarios = new Set((await readCatalogue()).map(({ name }) => name));
  const names = new Set<string>();
  for (const { name, about, edits, scenario, finding } of await readMutants()) {
    const edited = await editFiles(edits, (file) => Promise.resolve(overlay.get(file)));
    assert(edited.size > 0, `${name} changes nothing`);
    assert(scenarios.has(scenario), `${name} is to be seen by ${scenario}, which is no scenario`);
    assert(about.endsWith(".") && /^(E_|lost$)/.test(finding.id) && finding.path !== "", name);
    names.add(name);
  }
  assertEquals(names.size, (await readMutants()).length);
  // What the main job names: cnt between chunks, the last page, stale padding, an LDT one entry short.
  for (const name of ["chunk_count_not_reset", "last_page_skipped", "stale_padding", "ldt_one_entry_short"]) {
    assert(names.has(name), `${name} is missing`);
  }
});

Deno.test("a mutant that is not as it must be is refused, with its place", async () => {
  const [mutant] = await readMutants();
  const cases: [Record<string, unknown>, string][] = [
    [{ edits: [] }, "m: $[0].edits: expected a list of at least 1"],
    [{ edits: [{ file: "a.c", find: "", replace: "" }] }, "m: $[0].edits[0].find: expected a text"],
    [{ scenario: "a/../b" }, "m: $[0].scenario: expected a plain name"],
    [{ finding: { id: "X", path: "p" } }, "m: $[0].finding.id: expected the id of a finding"],
    [{ fuzzed: true }, "m: $[0].fuzzed: expected one of the keys name, about, "],
  ];
  for (const [change, message] of cases) {
    assertThrows(() => parseJson(MUTANTS, [{ ...mutant, ...change }], { file: "m" }), SyntaxError, message);
  }
});
