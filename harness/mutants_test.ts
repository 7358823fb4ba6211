// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { editFiles, readOverlay } from "../vm/kernel/source/kernel_overlay.ts";
import { readCatalogue } from "./run/catalogue.ts";
import { readPlantedErrors } from "./mutants.ts";

Deno.test("every planted error fits the kernel code as it is, and names a scenario that there is", async () => {
  const overlay = await readOverlay(fromFileUrl(new URL("../vm/kernel/overlay", import.meta.url)));
  const scenarios = new Set((await readCatalogue()).map(({ name }) => name));
  const names = new Set<string>();
  for (const { name, about, edits, scenario, finding } of await readPlantedErrors()) {
    const edited = await editFiles(edits, (file) => Promise.resolve(overlay.get(file)));
    assert(edited.size > 0, `${name} changes nothing`);
    assert(scenarios.has(scenario), `${name} is to be seen by ${scenario}, which is no scenario`);
    assert(about.endsWith(".") && /^(E_|lost$)/.test(finding.id) && finding.path !== "", name);
    names.add(name);
  }
  assertEquals(names.size, (await readPlantedErrors()).length);
  // What the main job names: cnt between chunks, the last page, stale padding, an LDT one entry short.
  for (const name of ["chunk_count_not_reset", "last_page_skipped", "stale_padding", "ldt_one_entry_short"]) {
    assert(names.has(name), `${name} is missing`);
  }
});
