// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { GitRepository } from "./git_repository.ts";
import { GitFixture } from "./testing/git_fixture.ts";

Deno.test("the changes between two commits come with their parents, merges and all", async () => {
  await using fixture = await GitFixture.make();
  const { repository } = fixture;
  const good = await fixture.commit("first", { a: "1" });
  await fixture.git("checkout", "--quiet", "-b", "side");
  const side = await fixture.commit("on the side", { b: "1" });
  await fixture.git("checkout", "--quiet", "main");
  const main = await fixture.commit("on main", { a: "2" });
  await fixture.git("merge", "--quiet", "--no-edit", "side");
  const bad = await fixture.commit("last: with a colon", { a: "3" });
  const merge = await fixture.git("rev-parse", "HEAD~1");
  const changes = await repository.changesBetween(good, bad, false);
  assertEquals(changes.length, 5);
  assertEquals(changes[0]?.id, good);
  assertEquals(changes.at(-1)?.title, "last: with a colon");
  assertEquals(changes.at(-1)?.author, "Ada Byron <ada@example.org>");
  assertEquals(changes.find(({ id }) => id === merge)?.parents, [main, side]);
  const line = await repository.changesBetween(good, bad, true);
  assertEquals(line.map(({ id }) => id), [good, main, merge, bad]);
  assertEquals(line.map(({ parents }) => parents.length), [0, 1, 1, 1]);
});

Deno.test("what is no commit, or not before the other, is refused by name", async () => {
  await using fixture = await GitFixture.make();
  const { repository } = fixture;
  const first = await fixture.commit("first", { a: "1" });
  const second = await fixture.commit("second", { a: "2" });
  await fixture.git("tag", "-a", "-m", "a tag", "v1", first);
  assertEquals(await repository.commitOf("v1", "--good"), first);
  assertEquals(await repository.commitOf("HEAD~1", "--good"), first);
  const refused = (promise: Promise<unknown>, text: string) => assertRejects(() => promise, UsageError, text);
  await refused(repository.commitOf("v2", "--good"), `option --good: expected a commit of ${fixture.work}`);
  await refused(repository.commitOf("--all", "--bad"), 'found "--all"');
  await refused(repository.changesBetween(second, first, false), "it is the older one");
  await fixture.git("checkout", "--quiet", "-b", "side", first);
  const side = await fixture.commit("on the side", { b: "1" });
  await refused(repository.changesBetween(second, side, false), `they part at ${first.slice(0, 12)}`);
  await refused(repository.changesBetween(first, first, false), "the same commit");
  await refused(GitRepository.open(join(fixture.path, "nothing"), fixture.path), "option --git: there is no");
  await refused(GitRepository.open(fixture.path, fixture.path), "not a git repository");
});

Deno.test("a repository behind a URL is fetched into the cache, and brought up to date", async () => {
  await using fixture = await GitFixture.make();
  const first = await fixture.commit("first", { a: "1" });
  const url = `file://${fixture.work}`;
  const cache = join(fixture.path, "cache");
  assertEquals(await (await GitRepository.open(url, cache)).commitOf("main", "--bad"), first);
  const second = await fixture.commit("second", { a: "2" });
  assertEquals(await (await GitRepository.open(url, cache)).commitOf("main", "--bad"), second);
});
