// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { printNightly } from "../nightly/nightly_summary.ts";
import { NightlyFixture } from "../nightly/testing/nightly_fixture.ts";
import { writePage } from "./write_page.ts";

const SCRIPT = { "6.1/x86_64/plain/catalogue": { scenarios: { one: "fail" } } } as const;

Deno.test("writePage() puts the page of a nightly run into its directory, and the summary names it", async () => {
  await using fixture = await NightlyFixture.make();
  const result = await fixture.run(SCRIPT);
  const directory = `${fixture.path}/run0`;
  const page = await writePage(directory, fixture.terminal);
  assertEquals(page, `${directory}/report.html`);
  const html = await Deno.readTextFile(page!);
  assertStringIncludes(html, "6.1/x86_64/plain/catalogue");
  assertMatch(html, /<h1>1 new failure/);
  printNightly(result, { directory, terminal: fixture.terminal, page });
  assert(fixture.lines.includes(`report: ${page}`));
});

Deno.test("a page that cannot be written is a note, and no file", async () => {
  await using fixture = await NightlyFixture.make();
  const notes: string[] = [];
  const terminal = { note: (line: string) => void notes.push(line) };
  const result = await fixture.run(SCRIPT);
  const directory = `${fixture.path}/run0`;
  await Deno.mkdir(`${directory}/report.html`);
  assertEquals(await writePage(directory, terminal), undefined);
  assertMatch(notes[0] ?? "", /^there is no page, report\.html: .*report\.html cannot be written/);
  assertEquals(await Deno.readTextFile(`${directory}/nightly.json`), `${JSON.stringify(result, null, 2)}\n`);
  await Deno.remove(`${directory}/nightly.json`);
  assertEquals(await writePage(directory, terminal), undefined);
  assertMatch(notes[1] ?? "", /^there is no page, report\.html: .*neither nightly\.json nor results\.json/);
});

Deno.test("a nightly run that goes on removes the page of its earlier part", async () => {
  await using fixture = await NightlyFixture.make();
  await fixture.run(SCRIPT, { name: "one" });
  await writePage(`${fixture.path}/one`, fixture.terminal);
  await fixture.run(SCRIPT, { name: "one", resume: true });
  assert(!await exists(`${fixture.path}/one/report.html`));
});
