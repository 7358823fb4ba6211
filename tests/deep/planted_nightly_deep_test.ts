// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readMutants } from "../../harness/mutants/mutant.ts";
import type { NightlyChange } from "../../harness/nightly/nightly_result.ts";
import { RealNightlyRuns } from "./real_nightly.ts";

/** An error that i386 alone shows, and the scenario that shows it. */
const PLANTED = "user_fs_lost";
const JOBS = [{
  kernels: [{ debian: "6.1" }],
  platforms: ["x86_64", "i386"],
  suites: [{ suite: "catalogue", filter: ["registers_", "minimal"] }],
}];

Deno.test("an error that comes into the kernel code is a new failure on the right job, until it is gone", async () => {
  const planted = (await readMutants()).find(({ name }) => name === PLANTED);
  assert(planted?.platform === "i386");
  await using runs = await RealNightlyRuns.make(JOBS);
  const [on64, on32] = ["x86_64", "i386"].map((name) => `6.1/${name}/plain/catalogue-registers_+minimal`);

  const first = await runs.finish("first", { history: "one" });
  assertEquals(first.result.counts, { passed: 2, failed: 0, missing: 0 }, first.stdout);
  assertEquals(first.result.changes, []);

  const overlay = (edit: { file: string }) => `vm/kernel/overlay/${edit.file}`;
  for (const edit of planted.edits) await runs.copy.edit({ ...edit, file: overlay(edit) });
  const second = await runs.finish("second", { history: "one" });
  assertEquals(second.code, 1, second.stdout);
  assertEquals(second.result.jobs.map(({ name, status }) => [name, status]), [[on64, "pass"], [
    on32,
    "fail",
  ]]);
  const broken = second.result.jobs[1]?.run?.results.filter(({ status }) => status === "fail") ?? [];
  assert(broken.some(({ scenario }) => scenario === planted.scenario));
  const changes = second.result.changes.filter(({ kind }) => kind !== "slower");
  assertEquals(changes.map(summary), broken.map(({ scenario }) => ["new failure", on32, scenario]));
  for (const change of changes) {
    assertEquals(change.changed.map(({ name }) => name), ["patch", "kernel"]);
    assertEquals(change.lastGood?.id, first.result.run.id);
    assertEquals(change.since?.id, second.result.run.id);
    assertMatch(change.text, /^passed last on .*; changed since: patch/);
  }
  const told = new RegExp(`^new failure: ${on32} ${broken[0]?.scenario}\\b.*: passed last on `, "m");
  assertMatch(second.stdout, told);
  assertStringIncludes(await Deno.readTextFile(`${runs.pathOf("second")}/report.html`), "new failure");

  for (const edit of planted.edits) await runs.copy.restore(overlay(edit));
  const third = await runs.finish("third", { history: "one" });
  assertEquals(third.code, 0, third.stdout);
  assertEquals(third.result.run.kernels, { built: 0, cached: 2, failed: 0 });
  const fixed = third.result.changes.filter(({ kind }) => kind !== "slower");
  assertEquals(fixed.map(summary), broken.map(({ scenario }) => ["fixed", on32, scenario]));
});

function summary({ kind, job, scenario }: NightlyChange): (string | undefined)[] {
  return [kind, job, scenario];
}
