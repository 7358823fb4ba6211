// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { UsageError } from "../../../vm/host/errors.ts";
import { History, MIGRATIONS } from "./history.ts";
import { NightlyFixture } from "../testing/nightly_fixture.ts";

const RUN = { matrix: { path: "m.json", digest: "d" }, whole: true };
const TABLE = "CREATE TABLE extra (x INTEGER) STRICT";

function job(name: string, status: "pass" | "fail" = "pass") {
  const about = { kernel: "k", platform: "p", flavour: "f", suite: "s", reproduce: "r", reused: false };
  return { ...about, name, status, seconds: 1, digest: "d" };
}

Deno.test("a history is kept over openings, and writing the same twice changes nothing", async () => {
  await using fixture = await NightlyFixture.make();
  for (let time = 0; time < 2; time++) {
    using history = await History.open(fixture.historyPath);
    history.beginRun({ ...RUN, id: "1", started: "2026-01-01" });
    history.recordJob("1", job("a"));
  }
  using history = await History.open(fixture.historyPath);
  const [past, ...others] = history.jobHistory("a");
  assertEquals([past?.run, past?.status, past?.seconds], [{ id: "1", started: "2026-01-01" }, "pass", 1]);
  assertEquals(others, []);
  assertEquals(history.jobHistory("a", ["1"]), []);
});

Deno.test("an older history is brought up to date and keeps what it holds; a newer one is refused", async () => {
  await using fixture = await NightlyFixture.make();
  {
    using old = await History.open(fixture.historyPath);
    old.beginRun({ ...RUN, id: "1", started: "2026-01-01" });
    old.recordJob("1", job("a"));
  }
  {
    using newer = await History.open(fixture.historyPath, [...MIGRATIONS, TABLE]);
    assertEquals(newer.jobHistory("a").length, 1);
  }
  const error = await assertRejects(
    () => History.open(fixture.historyPath),
    UsageError,
    "is of a newer ckptest",
  );
  assert(error.message.includes("version 4 at most, found 5"), error.message);
});

Deno.test("a migration that fails leaves the history as it was", async () => {
  await using fixture = await NightlyFixture.make();
  (await History.open(fixture.historyPath))[Symbol.dispose]();
  const broken = [...MIGRATIONS, `${TABLE}; CREATE NONSENSE`];
  await assertRejects(() => History.open(fixture.historyPath, broken), UsageError, "cannot be opened");
  using history = await History.open(fixture.historyPath, [...MIGRATIONS, TABLE]);
  assertEquals(history.jobHistory("a"), []);
});

Deno.test("a file that is no history is refused, and left alone", async () => {
  await using fixture = await NightlyFixture.make();
  const text = `${fixture.path}/text`;
  await Deno.writeTextFile(text, "not a database, but a text that is long enough to look at\n".repeat(100));
  await assertRejects(() => History.open(text), UsageError, `${text}: the history cannot be opened`);
  const other = `${fixture.path}/other.sqlite`;
  const db = new DatabaseSync(other);
  db.exec("CREATE TABLE bookmarks (url TEXT)");
  db.close();
  await assertRejects(() => History.open(other), UsageError, "is no history of ckptest");
});

Deno.test("two processes write to one history at once, and nothing is lost", async () => {
  await using fixture = await NightlyFixture.make();
  const script = `
    import { History } from ${JSON.stringify(import.meta.resolve("./history.ts"))};
    const [path, id] = Deno.args;
    using history = await History.open(path);
    history.beginRun({ id, started: id, matrix: { path: "m", digest: "d" }, whole: true });
    for (let i = 0; i < 100; i++) history.recordJob(id, { name: "job " + i, status: "pass", seconds: 1 });
  `;
  const program = `${fixture.path}/writer.ts`;
  await Deno.writeTextFile(program, script);
  const config = new URL("../../../deno.json", import.meta.url).pathname;
  const outputs = await Promise.all(["1", "2", "3"].map((id) =>
    new Deno.Command("deno", {
      args: ["run", "-q", "--no-check", `--config=${config}`, "-P=test", program, fixture.historyPath, id],
    }).output()
  ));
  for (const { code, stderr } of outputs) assertEquals(code, 0, new TextDecoder().decode(stderr));
  using history = await History.open(fixture.historyPath);
  for (let i = 0; i < 100; i++) assertEquals(history.jobHistory(`job ${i}`).length, 3);
});

Deno.test("shards of one plan are cut by the durations that the first of them saw", async () => {
  await using fixture = await NightlyFixture.make();
  using history = await History.open(fixture.historyPath);
  const first = new Map([["a", 1], ["b", 2]]);
  assertEquals(history.shardDurations("plan", first), first);
  assertEquals(history.shardDurations("plan", new Map([["a", 9]])), first);
  assertEquals(history.shardDurations("other", new Map([["a", 9]])), new Map([["a", 9]]));
});

Deno.test("forget() removes old runs with all that belongs to them", async () => {
  await using fixture = await NightlyFixture.make();
  using history = await History.open(fixture.historyPath);
  for (const started of ["2020-01-01T00:00:00.000Z", new Date().toISOString()]) {
    history.beginRun({ ...RUN, id: started, started });
    history.recordJob(started, job("a"));
  }
  history.forget(365);
  assertEquals(history.jobHistory("a").length, 1);
});
