// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../../vm/host/errors.ts";
import { readDurations, writeDurations } from "./job_durations.ts";
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
