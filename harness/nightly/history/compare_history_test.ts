// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { ChangeKind, NightlyChange } from "../nightly_result.ts";
import { medianOf } from "../../run/quantity.ts";
import { changedText, groupChanges, nameChanges } from "./compare_history.ts";
import type { FakeJob } from "../testing/fake_jobs.ts";
import { NightlyFixture } from "../testing/nightly_fixture.ts";
import { GitFixture } from "../../bisect/testing/git_fixture.ts";
import { History } from "./history.ts";
import { someNames } from "../../run/quantity.ts";

const NAME = "6.1/x86_64/plain/catalogue";

/** Runs a job again and again and gives the changes of the last. */
async function changesOf(runs: readonly FakeJob[]): Promise<readonly NightlyChange[]> {
  await using fixture = await NightlyFixture.make();
  let changes: readonly NightlyChange[] = [];
  for (const job of runs) ({ changes } = await fixture.run({ [NAME]: job }));
  return changes;
}

function kinds(changes: readonly NightlyChange[]): [ChangeKind, string | undefined][] {
  return changes.map(({ kind, scenario }) => [kind, scenario]);
}

const GOOD: FakeJob = { scenarios: { one: "pass", two: "pass" } };
const BAD: FakeJob = { scenarios: { one: "pass", two: "fail" }, patch: "planted" };

Deno.test("what passes as ever is no change", async () => {
  assertEquals(await changesOf([GOOD, GOOD, { ...GOOD, patch: "other" }]), []);
});

Deno.test("a new failure names the run since when, the last good one, and what changed", async () => {
  const [change, ...others] = await changesOf([GOOD, GOOD, BAD]);
  assertEquals(others, []);
  assertEquals([change?.kind, change?.job, change?.scenario], ["new failure", NAME, "two"]);
  assertEquals([change?.since?.id, change?.lastGood?.id], ["run2", "run1"]);
  assertEquals(change?.changed, [
    { name: "patch", before: "p", after: "planted" },
    { name: "kernel", before: "k-p", after: "k-planted" },
  ]);
  assertEquals(change?.text, "passed last on 2026-01-02 00:00; changed since: patch");
  assertEquals(change?.reproduce, "deno task test:qemu --arch x86_64 --filter two");
});

Deno.test("a failure without a past is new, and says that nothing is known", async () => {
  const [change] = await changesOf([BAD]);
  assertEquals([change?.kind, change?.lastGood, change?.changed], ["new failure", undefined, []]);
  assertStringIncludes(change?.text ?? "", "no earlier run passed");
});

Deno.test("a failure that goes on tells since when; what changed is what did so then", async () => {
  const [change] = await changesOf([GOOD, BAD, { ...BAD, patch: "later" }]);
  assertEquals([change?.kind, change?.since?.id, change?.lastGood?.id], [
    "still failing",
    "run1",
    "run0",
  ]);
  assertEquals(change?.changed[0], { name: "patch", before: "p", after: "planted" });
});

Deno.test("what passes again is fixed", async () => {
  const [change] = await changesOf([GOOD, BAD, BAD, { ...GOOD, patch: "mended" }]);
  assertEquals([change?.kind, change?.scenario, change?.since?.id], ["fixed", "two", "run1"]);
  assertEquals(change?.changed[0], { name: "patch", before: "planted", after: "mended" });
});

Deno.test("what passes and fails with equal digests is flaky, whichever came last", async () => {
  const unsteady = { ...BAD, patch: "p" };
  const [fails] = await changesOf([GOOD, GOOD, unsteady]);
  assertEquals([fails?.kind, fails?.scenario], ["flaky", "two"]);
  assertEquals(fails?.text, "failed in 1 of 3 runs that differ in nothing");
  const [passes] = await changesOf([GOOD, unsteady, GOOD]);
  assertEquals([passes?.kind, passes?.text], [
    "flaky",
    "passes now; failed in 1 of 3 runs that differ in nothing",
  ]);
});

Deno.test("a job that fails as a whole is a change of the job; its scenarios are not said to be missing", async () => {
  const changes = await changesOf([GOOD, { ...GOOD, build: 3, patch: "broken" }]);
  assertEquals(kinds(changes), [["new failure", undefined]]);
  assertMatch(
    changes[0]!.text,
    /^its kernel was not built: .*; passed last on 2026-01-01.*changed since: patch$/,
  );
  assertEquals(kinds(await changesOf([{ status: 134 }, { status: 134, patch: "other" }])), [[
    "still failing",
    undefined,
  ]]);
});

Deno.test("a scenario that the run before had is missing, once", async () => {
  const less: FakeJob = { scenarios: { one: "pass" } };
  assertEquals(kinds(await changesOf([GOOD, less])), [["missing", "two"]]);
  assertEquals(kinds(await changesOf([GOOD, less, less])), []);
});

Deno.test("a skipped scenario neither passes nor fails", async () => {
  const skipped: FakeJob = { scenarios: { one: "pass", two: "skip" }, patch: "planted" };
  assertEquals(kinds(await changesOf([GOOD, skipped])), []);
  assertEquals(kinds(await changesOf([GOOD, BAD, skipped, { ...BAD, patch: "x" }])), [[
    "still failing",
    "two",
  ]]);
});

Deno.test("slower is a scenario that takes far longer than the median of enough runs", async () => {
  const taking = (seconds: number): FakeJob => ({ scenarios: { one: "pass" }, milliseconds: seconds * 1000 });
  const runs = [2, 2.2, 1.8, 2.1, 9].map(taking);
  const [change] = await changesOf([...runs, taking(8)]);
  assertEquals([change?.kind, change?.scenario], ["slower", "one"]);
  assertEquals(change?.duration, { seconds: 8, median: 2.1, samples: 5 });
  assertEquals(await changesOf([...runs, taking(5)]), [], "2.4 times the median is no matter");
  assertEquals(await changesOf([...runs.slice(1), taking(8)]), [], "four runs are too few");
  const quick = [0.2, 0.2, 0.2, 0.2, 0.2, 0.9].map(taking);
  assertEquals(await changesOf(quick), [], "0.7 seconds more are no matter");
});

Deno.test("a job that did not run is missing, and so is one that the matrix has no more", async () => {
  await using fixture = await NightlyFixture.make();
  const script = { [NAME]: GOOD, "corruptions": {} };
  await fixture.run(script);
  const durations = new Map([[NAME, 9999], ["corruptions", 1]]);
  const over = await fixture.run(script, { durations, budgetSeconds: 60 });
  assertEquals(over.changes.map(({ kind, job }) => [kind, job]), [["missing", NAME]]);
  assertEquals(over.changes[0]?.lastGood?.id, "run0");
  assertStringIncludes(over.changes[0]?.text ?? "", "it ran last on 2026-01-01");
  const gone = await fixture.run({ corruptions: {} });
  assertEquals(gone.changes.map(({ kind, job }) => [kind, job]), [["missing", NAME]]);
  const less = await fixture.run({ corruptions: {} });
  assertEquals(less.changes, [], "it is told once");
  await fixture.run(script);
  const only = await fixture.run({ corruptions: {} }, { planned: { whole: false } });
  assertEquals(only.changes, [], "a selection is not told of what it leaves out");
});

Deno.test("trends hold the runs of a job, this one last", async () => {
  await using fixture = await NightlyFixture.make();
  await fixture.run({ [NAME]: GOOD });
  const { trends } = await fixture.run({ [NAME]: BAD });
  assertEquals(trends[NAME]?.map(({ run, status }) => [run.id, status]), [["run0", "pass"], [
    "run1",
    "fail",
  ]]);
  assert(trends[NAME]?.every(({ bytes }) => bytes?.total === 100));
});

Deno.test("medianOf() is the middle, or between the two", () => {
  assertEquals([medianOf([]), medianOf([3]), medianOf([9, 1, 2]), medianOf([4, 1, 2, 9])], [
    undefined,
    3,
    2,
    3,
  ]);
});

const RUN = { matrix: { path: "m.json", digest: "d" }, whole: true };
const A = "vm/kernel/overlay/a.c";
const B = "vm/kernel/overlay/b.c";

Deno.test("nameChanges() names the files behind two digests, and the commits that changed them", async () => {
  await using fixture = await GitFixture.make();
  const good = await fixture.commit("good", { [A]: "1", [B]: "1", other: "1" });
  await fixture.commit("checkpoint: save it later", { [A]: "2" });
  await fixture.commit("docs", { other: "2" });
  const bad = await fixture.commit("checkpoint: rename it", { [B]: null, "vm/kernel/overlay/c.c": "1" });
  using history = await History.open(`${fixture.path}/history.sqlite`);
  const reference = (id: string) => ({ id, started: `2026-01-0${id}` });
  const begin = (id: string, commit: string, patch: Record<string, string>, edited: string[] = []) =>
    history.beginRun({
      ...{ ...RUN, ...reference(id), revision: { commit, edited } },
      inputs: { [`patch${id}`]: patch, [`config${id}`]: { CONFIG_SMP: id, CONFIG_PCI: "y" } },
    });
  begin("1", good, { [A]: "1", [B]: "1" });
  begin("2", bad, { [A]: "2", "vm/kernel/overlay/c.c": "1" });
  begin("3", "0".repeat(40), { [A]: "2" });
  begin("4", bad, { [A]: "4" }, [A]);
  begin("5", bad, { [A]: "5" }, ["docs/other.md"]);
  const named = async (from: string, to: string, kind: NightlyChange["kind"] = "new failure") => {
    const ends = kind === "fixed"
      ? { since: reference(from) }
      : { lastGood: reference(from), since: reference(to) };
    const changed = (["patch", "config", "harness"] as const).map((name) => ({
      ...{ name, before: `${name}${from}`, after: `${name}${to}` },
    }));
    const change = { kind, job: "j", text: "", reproduce: "", changed, ...ends };
    const [result] = await nameChanges([change], { history, here: reference(to), project: fixture.work });
    return result!.changed;
  };
  const [patch, config, harness] = await named("1", "2");
  assertEquals(patch?.files, [A, B, "vm/kernel/overlay/c.c"]);
  assertEquals(patch?.commits?.map((text) => text.replace(/^[0-9a-f]+ /, "")), [
    ...["checkpoint: rename it", "checkpoint: save it later"],
  ]);
  assertEquals([config?.files, config?.commits], [["CONFIG_SMP"], undefined]);
  assertEquals(harness, { name: "harness", before: "harness1", after: "harness2" }, "it is not known");
  assertEquals((await named("1", "2", "fixed"))[0], patch, "what is fixed names what came since it failed");
  const [away] = await named("1", "3");
  assertEquals([away?.files, away?.commits], [[A, B], undefined], "of a commit that is not here");
  assertEquals((await named("2", "4"))[0]?.commits, ["edits that are not committed"]);
  assertEquals((await named("2", "5"))[0]?.commits, [], "edits of other files");
  assertEquals(
    changedText({ name: "patch", files: [A, B, "c"], commits: ["1 one", "2 two"] }, 2),
    [
      `patch: 1 one; 2 two; in ${A}, ${B} and 1 more`,
    ].join(),
  );
  assertEquals(changedText({ name: "patch" }), "patch");
});

Deno.test("a history forgets what digests were made of that no job has any more", async () => {
  await using fixture = await GitFixture.make();
  using history = await History.open(`${fixture.path}/history.sqlite`);
  history.beginRun({ ...RUN, id: "1", started: new Date().toISOString(), inputs: { p: { a: "1" }, q: {} } });
  const about = { kernel: "k", platform: "p", flavour: "f", suite: "s", reproduce: "r", reused: false };
  const digests = { patch: "p", harness: "h", scenarios: "s", options: "o" };
  history.recordJob("1", { ...about, name: "j", status: "pass", seconds: 1, digests });
  history.forget(365);
  assertEquals([history.inputsOf("p"), history.inputsOf("q")], [{ a: "1" }, undefined]);
});

const BASE = {
  kind: "new failure",
  job: "a",
  text: "passed last on Monday",
  changed: [],
  reproduce: "",
} as const;

Deno.test("groupChanges() takes together the scenarios of a job that changed alike, and nothing else", () => {
  const changes: NightlyChange[] = [
    { ...BASE, scenario: "one" },
    { ...BASE, scenario: "two", job: "b" },
    BASE,
    { ...BASE, scenario: "three" },
    { ...BASE, scenario: "four", kind: "flaky" },
    { ...BASE, scenario: "five", since: { id: "run1", started: "" } },
  ];
  assertEquals(groupChanges(changes).map(({ change, scenarios }) => [change.job, change.kind, scenarios]), [
    ["a", "new failure", ["one", "three"]],
    ["b", "new failure", ["two"]],
    ["a", "new failure", []],
    ["a", "flaky", ["four"]],
    ["a", "new failure", ["five"]],
  ]);
});

Deno.test("someNames() says how many are left out", () => {
  assertEquals(someNames(["a", "b", "c"], 3), "a, b, c");
  assertEquals(someNames(["a", "b", "c"], 1), "a and 2 more");
});
