// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Ajv } from "ajv";
import { KCIDB_LOG_LENGTH, type KcidbObject, kcidbReport } from "./kcidb_report.ts";
import { treeOfRun } from "./result_tree.ts";
import { hostileTree, recordedTree, singleRun } from "./testing/sample_tree.ts";

const SCHEMA = JSON.parse(
  await Deno.readTextFile(new URL("../../fixtures/reports/kcidb_v5.3.json", import.meta.url)),
);
const ajv = new Ajv({
  strict: false,
  allErrors: true,
  // The formats of draft 7 that the schema names, from RFC 3339 and RFC 3986.
  formats: {
    "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
    uri: /^[a-z][a-z0-9+.-]*:\S+$/i,
    email: /^\S+@\S+$/,
  },
});
const validate = ajv.compile(SCHEMA);

/** What the schema has against a report: nothing when it is valid. */
function complaints(report: unknown): string[] {
  // As a reader gets it: undefined fields are gone, and lone surrogates were escaped.
  validate(JSON.parse(JSON.stringify(report)));
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

function find(objects: readonly KcidbObject[], path: string, id: string): KcidbObject | undefined {
  return objects.find((object) => object.path === path && String(object.id).includes(id));
}

Deno.test("kcidbReport() is valid by KCIDB's schema 5.3, hostile texts and all", async () => {
  for (const tree of [await recordedTree("run"), await recordedTree("nightly"), hostileTree()]) {
    assertEquals(complaints(kcidbReport(tree, { origin: "ckptest" })), []);
  }
});

Deno.test("the schema refuses reports that were broken", async () => {
  const report = kcidbReport(await recordedTree("run"), { origin: "ckptest" });
  const [test] = report.tests;
  const broken = [
    { ...report, version: { major: 4, minor: 3 } },
    { ...report, extra: [] },
    { ...report, tests: [{ ...test, status: "pass" }] },
    { ...report, tests: [{ ...test, id: "no-origin" }] },
    { ...report, tests: [{ ...test, path: "a..b" }] },
    { ...report, tests: [{ ...test, log_excerpt: "x".repeat(KCIDB_LOG_LENGTH + 1) }] },
    { ...report, tests: [{ ...test, build_id: undefined }] },
    { ...report, tests: [{ ...test, start_time: "yesterday" }] },
    { ...report, tests: [{ ...test, comment: "\0" }] },
  ];
  for (const value of broken) assert(complaints(value).length > 0, `let through: ${Object.keys(value)}`);
});

Deno.test("kcidbReport() gives each outcome the status that KCIDB has for it", async () => {
  const { tests, builds } = kcidbReport(await recordedTree("nightly"), { origin: "ckptest" });
  const status = (path: string, id: string) => find(tests, path, id)?.status;
  assertEquals(status("ckptest.catalogue.heap", "6.1-x86_64-plain"), "PASS");
  assertEquals(status("ckptest.catalogue.ldt_one", "6.1-x86_64-plain"), "FAIL");
  assertEquals(status("ckptest.catalogue.program_gdb", "6.1-x86_64-plain"), "SKIP");
  assertEquals(status("ckptest.catalogue.swap_loop", "6.1-x86_64-debug"), "ERROR");
  assertEquals(status("ckptest.catalogue", "6.12-i386-plain"), "MISS");
  assertEquals(status("ckptest.catalogue", "5.10-x86_64-plain"), "MISS");
  assertEquals(status("ckptest.mutants", "6.1-x86_64-plain"), "PASS");
  const failed = builds.filter((build) => build.status === "FAIL");
  assertEquals(failed.length, 1);
  assertMatch(String(failed[0]?.log_excerpt), /'struct mm_struct' has no member named 'mm_mt'/);
});

Deno.test("kcidbReport() blames the tested code for a lost guest only when its kernel complained", () => {
  const splat = { kind: "PANIC", title: "Kernel panic", fingerprint: "1", frames: [], lines: [] };
  const statusWith = (splats: (typeof splat)[]) =>
    kcidbReport(treeOfRun(singleRun({ status: "lost", splats })), { origin: "me" }).tests[0]?.status;
  assertEquals(statusWith([]), "ERROR");
  assertEquals(statusWith([splat]), "FAIL");
});

Deno.test("kcidbReport() links tests to builds and builds to checkouts, by ids that stay", async () => {
  const tree = await recordedTree("nightly");
  const report = kcidbReport(tree, { origin: "my_lab" });
  const ids = (objects: readonly KcidbObject[], key = "id") => objects.map((object) => object[key] as string);
  for (const objects of [report.checkouts, report.builds, report.tests]) {
    assertEquals(new Set(ids(objects)).size, objects.length);
    assert(ids(objects).every((id) => id.startsWith("my_lab:")));
  }
  const builds = new Set(ids(report.builds));
  assert(ids(report.tests, "build_id").every((id) => builds.has(id)));
  const checkouts = new Set(ids(report.checkouts));
  assert(ids(report.builds, "checkout_id").every((id) => checkouts.has(id)));
  assertEquals([checkouts.size, builds.size], [3, 7]);
  assertEquals(kcidbReport(await recordedTree("nightly"), { origin: "my_lab" }), report);
});

Deno.test("kcidbReport() cuts long logs between lines, and says so", () => {
  const lines = Array.from({ length: 2000 }, (_, index) => `[ ${index}] something went wrong`);
  const splat = {
    kind: "WARN",
    title: "WARNING in f",
    fingerprint: "1",
    frames: ["f+0x1/0x2 (a.c:3)"],
    lines,
  };
  const tree = treeOfRun(singleRun({ status: "fail", splats: [splat] }));
  const excerpt = String(kcidbReport(tree, { origin: "x" }).tests[0]?.log_excerpt);
  assert(excerpt.length <= KCIDB_LOG_LENGTH);
  assertMatch(excerpt, /something went wrong\n\[cut here: the rest is in the results\]$/);
});

Deno.test("kcidbReport() refuses an origin that KCIDB would refuse", () => {
  for (const origin of ["", "My-Lab", "a:b", "a\n"]) {
    assertThrows(() => kcidbReport(treeOfRun(singleRun()), { origin }), RangeError, "small letters");
  }
});
