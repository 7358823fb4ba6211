// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { UsageError } from "../../vm/host/errors.ts";
import type { NightlyResult } from "./nightly_result.ts";
import { History } from "./history/history.ts";
import { mergeRuns } from "./merge_runs.ts";
import type { FakeScript } from "./testing/fake_jobs.ts";
import { NightlyFixture, steadyPart } from "./testing/nightly_fixture.ts";

const SCRIPT: FakeScript = Object.fromEntries(
  ["a", "b", "c", "d"].map((kernel) => [`${kernel}/x/plain/catalogue`, { scenarios: { one: "pass" } }]),
);
const [A = "", B = "", C = "", D = ""] = Object.keys(SCRIPT);

async function merge(fixture: NightlyFixture, ...names: string[]): Promise<NightlyResult> {
  using history = await History.open(fixture.historyPath);
  const out = await Deno.makeTempDir({ dir: fixture.path, prefix: "merged-" });
  const result = await mergeRuns({
    directories: names.map((name) => `${fixture.path}/${name}`),
    out,
    history,
  });
  for (const { files, name } of result.jobs) {
    if (files) assert(await exists(`${out}/${files}/job.json`), name);
  }
  assertEquals(await Deno.readTextFile(`${out}/nightly.json`), `${JSON.stringify(result, null, 2)}\n`);
  return result;
}

function shard(index: number, selected: readonly string[], of = 2) {
  return { name: `shard${index}`, planned: { id: `s${index}`, shard: { index, of }, selected } };
}

Deno.test("the shards of a nightly run give the same as the run in one piece", async () => {
  await using fixture = await NightlyFixture.make();
  const whole = await fixture.run(SCRIPT);
  await using other = await NightlyFixture.make();
  await other.run(SCRIPT, shard(1, [A, C]));
  await other.run(SCRIPT, shard(2, [B, D]));
  assertEquals(steadyPart(await merge(other, "shard1", "shard2")), steadyPart(whole));
  assertEquals(steadyPart(await merge(other, "shard2", "shard1")), steadyPart(whole), "in any order");
  using history = await History.open(other.historyPath);
  assertEquals(history.jobHistory(A).length, 1, "no run is in the history twice");
});

Deno.test("jobs of an absent shard are missing by name, and so are those that a killed one lacks", async () => {
  await using fixture = await NightlyFixture.make();
  await fixture.run(SCRIPT, shard(1, [A, C], 3));
  await fixture.run(SCRIPT, shard(2, [B], 3));
  // As a kill leaves it: no result, and one job that is not finished.
  await Deno.remove(`${fixture.path}/shard1/nightly.json`);
  await Deno.remove(`${fixture.path}/shard1/jobs/${C}`, { recursive: true });
  const { jobs, counts, run } = await merge(fixture, "shard1", "shard2");
  assertEquals(counts, { passed: 2, failed: 0, missing: 2 });
  const missing = Object.fromEntries(jobs.map(({ name, reason }) => [name, reason]));
  assertMatch(missing[C] ?? "", /shard1 has not finished it$/);
  assertEquals(missing[D], "of shard 3/3, which is not here");
  assertEquals(run.complete, false);
});

Deno.test("a job that is there twice counts once when the outcomes are equal", async () => {
  await using fixture = await NightlyFixture.make();
  await fixture.run(SCRIPT, { ...shard(1, [A, B, C]), name: "one" });
  await fixture.run(SCRIPT, { ...shard(2, [C, D]), name: "two" });
  assertEquals((await merge(fixture, "one", "two")).counts, { passed: 4, failed: 0, missing: 0 });
  assertEquals((await merge(fixture, "one", "one", "two")).counts, { passed: 4, failed: 0, missing: 0 });
});

Deno.test("a job that is there twice with other outcomes, or of other contents, is a conflict", async () => {
  await using fixture = await NightlyFixture.make();
  await fixture.run(SCRIPT, { ...shard(1, [A, B, C, D]), name: "one" });
  const worse: FakeScript = {
    ...SCRIPT,
    [A]: { scenarios: { one: "fail" } },
    [B]: { scenarios: { one: "pass" }, patch: "x" },
  };
  await fixture.run(worse, { ...shard(2, [A, B]), name: "two" });
  const { counts, jobs, changes } = await merge(fixture, "one", "two");
  assertEquals(counts, { passed: 2, failed: 2, missing: 0 });
  const reason = (name: string) => jobs.find((job) => job.name === name)?.reason ?? "";
  assertMatch(reason(A), /one and .*two disagree: pass, fail \(test\)$/);
  assertStringIncludes(reason(B), "they ran different contents (digests)");
  assertEquals(changes.filter(({ kind }) => kind === "conflict").map(({ job }) => job), [A, B]);
});

Deno.test("merge refuses what is no nightly run, parts of different plans, and a place that is not empty", async () => {
  await using fixture = await NightlyFixture.make();
  await fixture.run(SCRIPT, { name: "one" });
  await fixture.run({ corruptions: {} }, { name: "two" });
  using history = await History.open(fixture.historyPath);
  const refuse = async (names: string[], out: string, says: string): Promise<void> => {
    const directories = names.map((name) => `${fixture.path}/${name}`);
    await assertRejects(
      () => mergeRuns({ directories, out: `${fixture.path}/${out}`, history }),
      UsageError,
      says,
    );
  };
  await refuse(["one", "none"], "out", "none is no directory of a nightly run");
  await refuse(["one", "two"], "out", "are of different plans");
  await refuse(["one"], "two", "takes an empty directory or a new one");
});
