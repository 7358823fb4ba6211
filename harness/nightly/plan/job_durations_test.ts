// SPDX-License-Identifier: MIT

import fc from "fast-check";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../../vm/host/errors.ts";
import { parseShard, readDurations, shardJobs, writeDurations } from "./job_durations.ts";
import { NightlyFixture } from "../testing/nightly_fixture.ts";

Deno.test("readDurations() takes the durations of a run, and those that were written for its shards", async () => {
  await using fixture = await NightlyFixture.make();
  const result = await fixture.run({ a: {}, b: {} }, { name: "one" });
  const durations = await readDurations(join(fixture.path, "one", "nightly.json"));
  assertEquals(durations, new Map(result.jobs.map(({ name, seconds }) => [name, seconds])));
  const path = join(fixture.path, "durations.json");
  for (const written of [durations!, new Map<string, number>()]) {
    await writeDurations(path, written);
    assertEquals(await readDurations(path), written);
  }
  assertEquals(await readDurations(undefined), undefined);
});

Deno.test("readDurations() says what is wrong with a file", async () => {
  await using fixture = await NightlyFixture.make();
  const path = join(fixture.path, "durations.json");
  const refused = async (text: string, expected: string): Promise<void> => {
    await Deno.writeTextFile(path, text);
    await assertRejects(() => readDurations(path), UsageError, expected);
  };
  await refused("{", `${path}: $: expected JSON`);
  await refused("null", "$.schema: expected 1, found nothing");
  await refused(`{"schema": 1}`, "$.seconds: expected an object, found nothing");
  await refused(`{"schema": 2, "seconds": {}}`, "$.schema: expected 1, found 2");
  await refused(
    `{"schema": 1, "seconds": {"a": "soon"}}`,
    `$.seconds.a: expected a number above 0, found "soon"`,
  );
  await refused(`{"schema": 1, "seconds": {"a": -1}}`, "$.seconds.a: expected a number above 0, found -1");
  await Deno.remove(path);
  await assertRejects(() => readDurations(path), UsageError, path);
});

Deno.test("shardJobs() puts every job into one shard, the same one each time", () => {
  const jobs = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 30 });
  fc.assert(fc.property(jobs, fc.array(fc.integer({ min: 0, max: 999 })), fc.integer({ min: 1, max: 9 }), (
    names,
    seconds,
    of,
  ) => {
    const durations = new Map(
      names.flatMap((name, i) => seconds[i] === undefined ? [] : [[name, seconds[i]]]),
    );
    const shards = shardJobs(names, durations, of);
    assertEquals(shards.length, of);
    assertEquals(shards.flat().sort(), names.toSorted());
    assertEquals(shardJobs(names.toReversed(), durations, of), shards);
  }));
});

Deno.test("shardJobs() balances by durations: no shard is longer than another by more than a job", () => {
  const durations = new Map([["long", 100], ["a", 30], ["b", 30], ["c", 30], ["d", 9]]);
  assertEquals(shardJobs([...durations.keys()], durations, 2), [["long"], ["a", "b", "c", "d"]]);
  const jobs = fc.array(fc.integer({ min: 1, max: 999 }), { minLength: 1, maxLength: 40 });
  fc.assert(fc.property(jobs, fc.integer({ min: 1, max: 6 }), (seconds, of) => {
    const all = new Map(seconds.map((value, index) => [`job ${index}`, value]));
    const sums = shardJobs([...all.keys()], all, of)
      .map((names) => names.reduce((sum, name) => sum + all.get(name)!, 0));
    assert(Math.max(...sums) - Math.min(...sums) <= Math.max(...seconds));
  }));
});

Deno.test("a job without a duration counts as the middle of the others", () => {
  const durations = new Map([["a", 10], ["b", 20], ["c", 30]]);
  assertEquals(shardJobs(["a", "b", "c", "new"], durations, 2), [["c", "a"], ["b", "new"]]);
});

Deno.test("parseShard() takes I/N alone", () => {
  assertEquals(parseShard("2/3"), { index: 2, of: 3 });
  for (const text of ["0/3", "4/3", "1", "1/0", "a/b", "1/3/4", "-1/3", ""]) {
    assertEquals(parseShard(text), undefined);
  }
});
