// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { GitFixture } from "../../bisect/testing/git_fixture.ts";
import type { NightlyChange } from "../nightly_result.ts";
import { History } from "./history.ts";
import { changedText, groupChanges, nameChanges } from "./name_changes.ts";
import { someNames } from "../../run/quantity.ts";

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
