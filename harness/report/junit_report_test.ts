// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { junitReport, xmlAttribute, xmlText } from "./junit_report.ts";
import { runIfInstalled } from "./testing/run_if_installed.ts";
import { hostileTree, recordedTree } from "./testing/sample_tree.ts";

const SCHEMA = fromFileUrl(new URL("../../fixtures/reports/junit.xsd", import.meta.url));
const HAS_XMLLINT = await runIfInstalled("xmllint", ["--version"]) !== undefined;

/** What xmllint has to say against a document: nothing when it is as the schema has it. */
async function complaints(xml: string): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-junit-" });
  try {
    const file = join(directory, "report.xml");
    await Deno.writeTextFile(file, xml);
    const result = await runIfInstalled("xmllint", ["--nonet", "--noout", "--schema", SCHEMA, file]);
    return result?.code === 0 ? "" : result?.stderr ?? "xmllint is not installed";
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("junitReport() has a suite for each job, and a case for each scenario", async () => {
  const xml = junitReport(await recordedTree("nightly"));
  assertStringIncludes(xml, '<testsuites name="ckptest" tests="69" failures="4" errors="3" time="7201.338">');
  assertStringIncludes(
    xml,
    '<testsuite name="6.1/x86_64/plain/catalogue" tests="14" failures="2" errors="0" skipped="1" ' +
      'time="131.400" timestamp="2026-11-24T01:02:41">',
  );
  assertStringIncludes(xml, '<testcase name="heap" classname="ckptest.6_1.x86_64.plain.catalogue" time=');
  assertStringIncludes(xml, '<failure message="mismatch E_LDT_ENTRY stopped: task[0]/mm_context/ldt[0] at ');
  assertStringIncludes(
    xml,
    "reproduced 3 of 3\nreproduce: deno task test:qemu --arch x86_64 --filter ldt_one\n",
  );
  assertStringIncludes(xml, '<skipped message="not installed: gdb (Debian package gdb)"/>');
  assertStringIncludes(xml, '<error message="the guest did not answer within 30 s" type="guest lost">');
});

Deno.test("junitReport() makes errors of jobs that were not built or did not run", async () => {
  const xml = junitReport(await recordedTree("nightly"));
  const message = "the kernel was not built: make vmlinux ended with status 2";
  assertStringIncludes(xml, `<error message="${message}" type="build">  CC      arch/x86/mm/checkpoint.o`);
  assertStringIncludes(
    xml,
    '<error message="did not run: the budget of 2 h was used up" type="missing"></error>',
  );
});

Deno.test("junitReport() counts what it writes", async () => {
  for (const tree of [await recordedTree("run"), await recordedTree("nightly"), hostileTree()]) {
    const xml = junitReport(tree);
    const total = (key: string) => Number(new RegExp(`<testsuites [^>]*\\b${key}="(\\d+)"`).exec(xml)?.[1]);
    assertEquals(total("tests"), xml.match(/<testcase /g)?.length);
    assertEquals(total("failures"), xml.match(/<failure /g)?.length);
    assertEquals(total("errors"), xml.match(/<error /g)?.length ?? 0);
  }
});

Deno.test("xmlText() and xmlAttribute() leave nothing that XML cannot hold, and keep the rest", () => {
  assertEquals(
    xmlText("a<b>&\t\n\r\0\x1b\ud800\uffff\u{1f600}"),
    "a&lt;b&gt;&amp;\t\n&#13;\ufffd\ufffd\ufffd\ufffd\u{1f600}",
  );
  assertEquals(xmlAttribute('"\n\t'), "&quot;&#10;&#9;");
});

Deno.test({
  name: "xmllint finds junitReport() as its schema says, hostile texts and all (needs xmllint)",
  ignore: !HAS_XMLLINT,
  async fn() {
    for (const tree of [await recordedTree("run"), await recordedTree("nightly"), hostileTree()]) {
      assertEquals(await complaints(junitReport(tree)), "");
    }
  },
});

Deno.test({
  name: "xmllint refuses reports that were broken (needs xmllint)",
  ignore: !HAS_XMLLINT,
  async fn() {
    const xml = junitReport(await recordedTree("run"));
    const breaks: [string, string][] = [
      ["<testcase ", "<testcase bogus='1' "],
      ['failures="2"', 'failures="two"'],
      ['type="guest lost"', ""],
      ["</testsuite>", "<system-out/><testcase/></testsuite>"],
      ["<properties>", "<properties>\0"],
      ['name="anon_dirty"', 'name="anon_zeroed"'],
    ];
    for (const [from, to] of breaks) {
      const broken = xml.replace(from, to);
      assert(broken !== xml, `nothing to break: ${from}`);
      assert(await complaints(broken) !== "", `let through: ${to}`);
    }
  },
});
