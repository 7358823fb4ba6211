// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { escapeHtml, fileLinks, markup } from "./html/markup.ts";
import { markDifferences } from "./html/image_picture.ts";
import { logText } from "./html/problem_section.ts";
import { sparkline } from "./html/trend_table.ts";
import { htmlReport, writePage } from "./html_report.ts";
import { type ResultTree, treeOfRun } from "./result_tree.ts";
import { hostileTree, recordedTree, singleRun } from "./testing/sample_tree.ts";
import { exists } from "@std/fs";
import { printNightly } from "../nightly/nightly_summary.ts";
import { NightlyFixture } from "../nightly/testing/nightly_fixture.ts";

const nightly = await recordedTree("nightly");
const page = htmlReport(nightly);

Deno.test("htmlReport() tells first what broke, since when, where, whether it is real, and the command", () => {
  const first = page.slice(page.indexOf("<header>"), page.indexOf('id="matrix"'));
  assertStringIncludes(first, "<h1>3 new failures, 1 still failing, 1 flaky, 1 did not run</h1>");
  assertStringIncludes(first, "Stopped before its end: the budget of 2 h was used up");
  const card = first.slice(first.indexOf("ldt_one</a>"), first.indexOf("</article>"));
  assertStringIncludes(card, "<dt>since</dt><dd>this run, last good 2026-11-23 01:00</dd>");
  assertMatch(
    card,
    /<dt>changed<\/dt><dd><div>patch<div><code>1a2b3c4 checkpoint: count the entries of the LDT once</,
  );
  assertStringIncludes(card, "<div><code>vm/kernel/overlay/checkpoint/ckpt_mem.c</code></div>");
  assertStringIncludes(card, "<dt>on</dt><dd>6.1 x86_64, 6.12 x86_64</dd>");
  assertStringIncludes(card, "<dt>passes on</dt><dd>6.1 i386</dd>");
  assertStringIncludes(card, "<dt>real?</dt><dd>yes: reproduced 6 of 6</dd>");
  assertStringIncludes(card, "<code>deno task test:qemu --arch x86_64 --filter ldt_one</code>");
});

Deno.test("htmlReport() has a cell for each job, linked to what is wrong with it", () => {
  const matrix = page.slice(page.indexOf('<section id="matrix">'), page.indexOf('<section id="changes">'));
  assertEquals(matrix.match(/class="cell /g)?.length, nightly.jobs.length);
  assertStringIncludes(matrix, "<b>2 failed</b><small>11 of 13, 1 skipped, 2 min 11 s</small>");
  assertStringIncludes(matrix, "<b>did not run</b>");
  assertStringIncludes(matrix, "<b>not built</b>");
  assertStringIncludes(matrix, "<b>passed</b><small>reused</small>");
});

Deno.test("htmlReport() shows findings, address space, LDT, splat, log and trends", () => {
  assertStringIncludes(page, "ff 0f 00 50 34 f3 <mark>40</mark> 12");
  assertStringIncludes(
    page,
    "base 0x12345000, limit 0x00000fff (byte), 32-bit, DPL 3, present, accessed, AVL",
  );
  assertStringIncludes(page, "3 of 8 pages, 6 differ");
  assertStringIncludes(page, "[stack]");
  assertStringIncludes(page, "<li>cr_write_mm_context+0x101/0x230</li>");
  assertStringIncludes(page, "unreferenced object 0xffff88800777f518");
  assertStringIncludes(page, "<summary>Kernel log</summary>");
  assertStringIncludes(page, "10 min 12 s, median");
  assertEquals(page.match(/<svg class="spark"/g)?.length, 17);
});

Deno.test("htmlReport() refers to nothing outside of itself, and every link of it leads somewhere", () => {
  const addresses = [...page.matchAll(/\b(?:src|href)="([^#"][^"]*)"/g)].map(([, to]) => to!);
  // But for the files that were kept of failures.
  assertEquals(addresses.filter((to) => !to.startsWith("./jobs/")), ["data:,"]);
  assertEquals(/@import|url\(|<script|<iframe|\son[a-z]+=/i.test(page), false);
  const ids = [...page.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id);
  assertEquals(new Set(ids).size, ids.length);
  for (const [, target] of page.matchAll(/href="#([^"]*)"/g)) assert(ids.includes(target), `#${target}`);
});

Deno.test("htmlReport() links to the files that were kept, from wherever the page lies", async () => {
  const root = fromFileUrl(new URL("../../fixtures/results/nightly/", import.meta.url));
  const links = [...page.matchAll(/href="\.\/(jobs\/[^"]*\.(?:ckpt|log|json))"/g)].map(([, to]) => to!);
  assert(links.some((to) => to.endsWith("x86_64/ldt_one/stopped.ckpt")), links.join());
  for (const to of links) assert((await Deno.stat(`${root}${to}`)).isFile, to);
  assertStringIncludes(
    htmlReport(nightly, "../a b"),
    'href="../a%20b/jobs/9f488261f4ce/x86_64/ldt_one/stopped.ckpt"',
  );
});

Deno.test("fileLinks() links to nothing outside of the results, and takes no name for an address", () => {
  const link = fileLinks(".");
  assertEquals(`${link("a/b#?.log")}`, '<a href="./a/b%23%3F.log">a/b#?.log</a>');
  assertEquals(`${link("javascript:alert(1)")}`, '<a href="./javascript%3Aalert(1)">javascript:alert(1)</a>');
  for (const path of ["/etc/passwd", "../x", "a/../../x"]) {
    assertEquals(`${link(path)}`, `<code>${path}</code>`);
  }
});

Deno.test("htmlReport() lets passing scenarios and the slowest be opened", () => {
  const all = page.slice(page.indexOf('<section id="all">'), page.indexOf('<section id="trends">'));
  assertMatch(all, /<h3>The slowest<\/h3>.*<tbody><tr><td><code>leaks<\/code><\/td><td>6\.1\/x86_64\/debug/s);
  assertMatch(all, /<details><summary>5\.10\/i386\/plain\/catalogue: 11 scenarios, /);
  assertMatch(
    all,
    /<code>heap<\/code><\/td><td><span class="badge pass">ok<\/span><\/td><td class="number">[\d.]+ s<\/td>/,
  );
  // A job that passed leads to its scenarios.
  assertMatch(page, /<a class="cell pass" href="#scenarios-\d+"><b>passed<\/b><small>11 of 11/);
  const rows = (tree: ResultTree) => htmlReport(tree).split('<section id="all">')[1]!.match(/<tr>/g)!.length;
  const [job] = nightly.jobs;
  const many = Array.from({ length: 5000 }, (_, index) => ({ ...job!.scenarios[0]!, title: `s${index}` }));
  const full = { ...nightly, jobs: [{ ...job!, scenarios: many }] };
  assert(rows(full) < 3500, "the page stays light");
  assertMatch(htmlReport(full), /<p class="soft">\d+ more are in the result files<\/p>/);
});

Deno.test("htmlReport() lets no text become an element, an attribute or a control character", () => {
  const hostile = htmlReport(hostileTree());
  for (const text of ["<script", '<b>"', "\x1b", "\0"]) assertEquals(hostile.includes(text), false);
  assertStringIncludes(hostile, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;]]&gt;");
  assertEquals(hostile.isWellFormed(), true);
  // Every tag is one that the report writes itself.
  const tags = new Set([...hostile.matchAll(/<\/?([a-zA-Z][^\s>/]*)/g)].map(([, tag]) => tag));
  const known = new Set(
    [...`${page}${htmlReport(treeOfRun(singleRun()))}`.matchAll(/<\/?([a-z][^\s>/]*)/g)].map(([, tag]) =>
      tag
    ),
  );
  assertEquals([...tags].filter((tag) => !known.has(tag)), []);
});

Deno.test("htmlReport() says so when all is well, and does not speak of history in a single run", () => {
  const good = htmlReport(treeOfRun(singleRun()));
  assertStringIncludes(good, "<h1>1 platform passed</h1>");
  assertStringIncludes(good, "<h2>Nothing broke</h2>");
  assertEquals(/last good|<h2>Trends/.test(good), false);
});

Deno.test("htmlReport() says why a scenario was skipped, and that there was no run before", () => {
  const [job] = nightly.jobs;
  const [scenario] = job?.scenarios ?? [];
  assert(job && scenario);
  const skipped = { ...scenario, status: "skip", reason: "needs a kernel of i386" } as const;
  const first = { ...nightly, changes: [], jobs: [{ ...job, scenarios: [skipped] }], trends: {} };
  const html = htmlReport(first);
  assertStringIncludes(html, '<td class="soft">needs a kernel of i386</td>');
  assertStringIncludes(html, "<p>There is no earlier run to compare with.</p>");
  assertStringIncludes(htmlReport({ ...first, trends: nightly.trends }), "<p>Nothing is different from");
});

Deno.test("htmlReport() gives a job without a kernel a row of its own, and the middle of two durations", () => {
  const [job] = nightly.jobs;
  assert(job);
  const point = (seconds: number) =>
    ({ run: { id: "x", started: "2026-01-01" }, status: "pass", seconds }) as const;
  const none = { kernel: "-", platform: "-", flavour: "-", kernels: [], scenarios: [], name: "corruptions" };
  const html = htmlReport({
    ...nightly,
    jobs: [{ ...job, ...none, suite: "corruptions", status: "pass" }],
    trends: { corruptions: [point(2), point(4)] },
  });
  assertStringIncludes(html, '<th scope="row"><span class="soft">no kernel</span></th>');
  assertStringIncludes(html, "4.0 s, median 3.0 s");
});

Deno.test("htmlReport() stays below 1 MB when a thousand things break, and names them all", () => {
  const [job] = nightly.jobs;
  assert(job);
  const [broken] = job.scenarios.filter(({ status }) => status === "fail");
  assert(broken);
  const lines = Array.from({ length: 5000 }, (_, index) => `[ ${index}] ${"noise ".repeat(20)}`);
  const splat = { kind: "WARN", title: "WARNING in f", fingerprint: "1", frames: ["f+0x1/0x2"], lines };
  const kept = { directory: "x", pictures: [], files: [], notes: [], kernelLog: lines.join("\n") };
  const scenarios = Array.from({ length: 1000 }, (_, index) => ({
    ...broken,
    title: `broken_${index}`,
    splats: [{ ...splat, fingerprint: String(index) }],
    kept,
  }));
  const large = htmlReport({ ...nightly, jobs: [{ ...job, scenarios }], changes: [], trends: {} });
  assert(large.length < 1_000_000, `${large.length} characters`);
  assertStringIncludes(large, "the first 4840 lines are left out");
  assertStringIncludes(large, "The page is full: ");
  assertStringIncludes(large, "broken_999");
});

Deno.test("markup escapes what is put in, but for markup", () => {
  assertEquals(
    String(markup`<p title="${'"<'}">${["a&", markup`<b>${1}</b>`, undefined]}</p>`),
    '<p title="&quot;&lt;">a&amp;<b>1</b></p>',
  );
  assertEquals(escapeHtml("\u202etxt\0\ud800"), "\ufffdtxt\ufffd\ufffd");
});

Deno.test("markDifferences() marks bytes, and leaves words alone", () => {
  assertEquals(String(markDifferences("00 11 22", "00 12 22")), "00 <mark>11</mark> 22");
  assertEquals(String(markDifferences("00 11 (8 bytes)", "00 11 (16 bytes)")), "00 11 (8 bytes)");
  assertEquals(String(markDifferences("yes it is", "no")), "yes it is");
});

Deno.test("logText() keeps the end of a long log and cuts long lines", () => {
  const lines = Array.from({ length: 500 }, (_, index) => `line ${index}`);
  const text = String(logText([...lines, "x".repeat(5000)]));
  assertStringIncludes(text, "the first 341 lines are left out");
  assertStringIncludes(text, "line 499\n");
  assertStringIncludes(text, "xxx [cut here]</pre>");
});

Deno.test("sparkline() has gaps where there is no value, and stays within its box", () => {
  const points = [5, 80, undefined, 1e9, 3].map((value) => ({ value, isBad: value === 80 }));
  const text = String(sparkline(points, "a < b"));
  assertEquals(text.match(/M/g)?.length, 2);
  assertStringIncludes(text, 'aria-label="a &lt; b"');
  for (const [, y] of text.matchAll(/[ML][\d.]+ (-?[\d.]+)/g)) assert(Number(y) >= 0 && Number(y) <= 30);
  assertEquals(
    String(sparkline([{ value: undefined, isBad: false }], "x")),
    '<span class="soft">no data</span>',
  );
});

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
