// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import type { BisectSource } from "./bisect_state.ts";
import { prepareBisect } from "./prepare_bisect.ts";
import { GitFixture } from "./testing/git_fixture.ts";

async function prepare(fixture: GitFixture, source: BisectSource) {
  return await prepareBisect(source, undefined, {
    directory: fixture.path,
    cacheDir: join(fixture.path, "cache"),
  });
}

Deno.test("ends are commits, by any name; others are refused by the option", async () => {
  await using fixture = await GitFixture.make();
  const first = await fixture.commit("first", { a: "1" });
  const second = await fixture.commit("second", { a: "2" });
  await fixture.git("tag", "-a", "-m", "a tag", "v1", first);
  await fixture.git("checkout", "--quiet", "-b", "side", first);
  const side = await fixture.commit("on the side", { b: "1" });
  const git = (good: string, bad: string, repository = fixture.work) =>
    prepare(fixture, { kind: "git", repository, good, bad, firstParent: false });
  const { ends, tree } = await git("v1", "main");
  assertEquals([ends.good, ends.bad], [first, second]);
  assertEquals(tree, { objects: join(fixture.work, ".git", "objects") });
  const refused = (promise: Promise<unknown>, text: string) => assertRejects(() => promise, UsageError, text);
  await refused(git("v2", "main"), `option --good: expected a commit of ${fixture.work}, found "v2"`);
  await refused(git("v1", "--all"), "option --bad: expected a commit of ");
  await refused(git("main", "v1"), `they part at ${first.slice(0, 12)}`);
  await refused(git(second, side), `they part at ${first.slice(0, 12)}`);
  await refused(git("v1", first), "the same commit");
  await refused(git("v1", "main", join(fixture.path, "nothing")), "option --git: there is no directory");
  await refused(git("v1", "main", fixture.path), "not a git repository");
});

Deno.test("a repository behind a URL is fetched into the cache, and brought up to date", async () => {
  await using fixture = await GitFixture.make();
  const first = await fixture.commit("first", { a: "1" });
  const repository = `file://${fixture.work}`;
  const badEnd = async () =>
    (await prepare(fixture, { kind: "git", repository, good: first, bad: "main", firstParent: false })).ends
      .bad;
  const second = await fixture.commit("second", { a: "2" });
  assertEquals(await badEnd(), second);
  const third = await fixture.commit("third", { a: "3" });
  assertEquals(await badEnd(), third);
});

Deno.test("patches are ends by number or name, and the good one comes first", async () => {
  await using fixture = await GitFixture.make();
  const directory = join(fixture.path, "patches");
  const base = await fixture.commit("base", { "a.c": "1\n", "Makefile": "VERSION = 6\nPATCHLEVEL = 1\n" });
  await fixture.commit("one", { "a.c": "2\n" });
  await fixture.commit("two", { "a.c": "3\n" });
  await fixture.git("format-patch", "--quiet", `--output-directory=${directory}`, base);
  await fixture.git("checkout", "--quiet", base);
  const patches = (ends: { good?: string; bad?: string }) =>
    prepare(fixture, {
      kind: "patches",
      directory,
      base: { kind: "directory", path: fixture.work },
      ...ends,
    });
  const { ends, tree } = await patches({ good: "0" });
  assertEquals([ends.patches[ends.good], ends.patches[ends.bad]], ["0", "0002-two.patch"]);
  assertEquals(tree.base?.commit, ends.good);
  await assertRejects(() => patches({ good: "2", bad: "1" }), UsageError, "expected --good before --bad");
});
