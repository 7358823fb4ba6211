// SPDX-License-Identifier: MIT

import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import type { BisectSource } from "./bisect_state.ts";
import {
  commitPatches,
  patchNamed,
  prepareBisect,
  type TreeSource,
  withBisectTree,
} from "./prepare_bisect.ts";
import { GitFixture } from "./testing/git_fixture.ts";
import { listFiles, pathOf } from "../../vm/kernel/source/kernel_source.ts";
import { runGit } from "../../vm/host/run_git.ts";

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

/** Names and contents of all files below a directory. */
async function contentsOf(directory: string): Promise<Record<string, string>> {
  const files = listFiles(directory).map(pathOf);
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(join(directory, file))));
  return Object.fromEntries(files.map((file, index) => [file, texts[index]!]));
}

function objectsOf(fixture: GitFixture): TreeSource {
  return { objects: join(fixture.work, ".git", "objects") };
}

Deno.test("each bisect has a tree of its own, which it finds again as it was", async () => {
  await using fixture = await GitFixture.make();
  const cacheDir = join(fixture.path, "cache");
  const commit = await fixture.commit("first", { "a": "1", "d/b": "1" });
  const [source, path] = [objectsOf(fixture), join(fixture.path, "cache", "bisect", "1", "linux")];
  const checkOut = (tree: string) => runGit(["checkout", "--quiet", "--detach", commit], { cwd: tree });
  await withBisectTree(source, { cacheDir, owner: "one" }, async (first) => {
    await withBisectTree(source, { cacheDir, owner: "two" }, (second) => {
      assertEquals(first, path);
      assertNotEquals(second, path);
      return Promise.resolve();
    });
    await checkOut(first);
    assertEquals(await contentsOf(path), { "a": "1", "d/b": "1" });
  });
  const { ino } = await Deno.stat(join(path, "a"));
  // Whoever was killed behind the files, but before HEAD, has a tree that differs from its commit.
  await Deno.writeTextFile(join(path, "d", "b"), "half written");
  await withBisectTree(source, { cacheDir, owner: "one" }, async () => {
    assertEquals(await contentsOf(path), { "a": "1", "d/b": "1" });
    assertEquals((await Deno.stat(join(path, "a"))).ino, ino);
  });
  await Deno.writeTextFile(join(path, ".git", "index.lock"), "");
  await Deno.writeTextFile(join(path, "left"), "over");
  await withBisectTree(source, { cacheDir, owner: "one" }, async (anew) => {
    assertEquals(await contentsOf(path), {});
    await checkOut(anew);
    assertEquals(await contentsOf(path), { "a": "1", "d/b": "1" });
  });
});

Deno.test("patches are laid over a kernel that is never written to", async () => {
  await using fixture = await GitFixture.make();
  const [base, patches] = [join(fixture.path, "base"), join(fixture.path, "patches")];
  await fixture.commit("base", { "Makefile": "all:\n", "kernel/a.c": "1\n", "kernel/b.c": "1\n" });
  await fixture.git("clone", "--quiet", fixture.work, base);
  await fixture.commit("one", { "kernel/a.c": "2\n", "kernel/new.c": "new\n" });
  await fixture.commit("two", { "kernel/b.c": null, "kernel/new.c": "newer\n" });
  await fixture.git("format-patch", "--quiet", `--output-directory=${patches}`, "HEAD~2");
  const [before, times] = [await contentsOf(base), listFiles(base)];
  const directory = join(fixture.path, "series");
  const commits = await commitPatches({ patches, base, directory });
  const source = {
    objects: join(directory, ".git", "objects"),
    base: { commit: commits[0]!.id, path: base },
  };
  await withBisectTree(source, { cacheDir: join(fixture.path, "cache"), owner: "one" }, async (tree) => {
    assertEquals(await contentsOf(tree), before);
    const { "kernel/b.c": _, ...rest } = before;
    const states = [
      { ...rest, "kernel/a.c": "2\n", "kernel/new.c": "newer\n" },
      { ...before, "kernel/a.c": "2\n", "kernel/new.c": "new\n" },
      before,
    ];
    for (const [index, expected] of states.entries()) {
      await runGit(["checkout", "--quiet", "--detach", commits[2 - index]!.id], { cwd: tree });
      assertEquals(await contentsOf(tree), expected);
    }
    assertEquals([await contentsOf(base), listFiles(base)], [before, times]);
    // The files that no patch touches are links.
    const [own, theirs] = await Promise.all([tree, base].map((path) => Deno.stat(join(path, "Makefile"))));
    assertEquals(own!.ino, theirs!.ino);
  });
});

/** A kernel in `work`, and two patches for it. */
async function makeSeries(): Promise<{ fixture: GitFixture; patches: string }> {
  const fixture = await GitFixture.make();
  const patches = join(fixture.path, "patches");
  await Deno.mkdir(patches);
  await fixture.commit("base", { "a.c": "1\n", "other.c": "1\n" });
  await fixture.commit("one: begin", { "a.c": "2\n", "b.c": "2\n" });
  await fixture.commit("two: go on", { "b.c": null });
  await fixture.git("format-patch", "--quiet", "--cover-letter", `--output-directory=${patches}`, "HEAD~2");
  await fixture.git("checkout", "--quiet", "HEAD~2");
  return { fixture, patches };
}

Deno.test("patches become commits with their titles and authors, the same each time", async () => {
  const { fixture, patches } = await makeSeries();
  await using _fixture = fixture;
  const make = (name: string) =>
    commitPatches({ patches, base: fixture.work, directory: join(fixture.path, name) });
  const changes = await make("first");
  assertEquals(changes.map(({ name }) => name), ["0", "0001-one-begin.patch", "0002-two-go-on.patch"]);
  const log = await runGit(["log", "--reverse", "--format=%H %an: %s"], { cwd: join(fixture.path, "first") });
  assertEquals(log.trim().split("\n"), [
    `${changes[0]?.id} ckptest: none of the patches`,
    `${changes[1]?.id} Ada Byron: one: begin`,
    `${changes[2]?.id} Ada Byron: two: go on`,
  ]);
  assertEquals(await make("second"), changes);
  assertEquals(patchNamed(changes, "2", "--bad"), changes[2]);
  assertEquals(patchNamed(changes, "0001-one-begin.patch", "--good"), changes[1]);
  assertEquals(patchNamed(changes, "0", "--good"), changes[0]);
  assertThrows(
    () => patchNamed(changes, "3", "--bad"),
    UsageError,
    "option --bad: expected 0, or the number",
  );
});

Deno.test("plain diffs are taken as well", async () => {
  const { fixture, patches } = await makeSeries();
  await using _fixture = fixture;
  await Deno.writeTextFile(join(patches, "0003-by-hand.diff"), "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-2\n+3\n");
  const directory = join(fixture.path, "series");
  const changes = await commitPatches({ patches, base: fixture.work, directory });
  const show = (what: string) => runGit(["show", "--no-patch", "--format=%s", what], { cwd: directory });
  assertEquals(await show(changes.at(-1)!.id), "by-hand\n");
  assertEquals(await show(`${changes.at(-1)?.id}:a.c`), "3\n");
});

Deno.test("a patch that does not apply is named, with what it does not apply to", async () => {
  const { fixture, patches } = await makeSeries();
  await using _fixture = fixture;
  await Deno.writeTextFile(join(fixture.work, "a.c"), "something else\n");
  const make = (patches: string) =>
    commitPatches({ patches, base: fixture.work, directory: join(fixture.path, "x") });
  const error = await assertRejects(
    () => make(patches),
    UsageError,
    `${patches}/0001-one-begin.patch does not apply to`,
  );
  assertEquals(/a\.c/.test(error.message), true, error.message);
  await assertRejects(() => make(fixture.work), UsageError, "expected files NNNN-*.patch");
  await assertRejects(() => make(join(fixture.path, "no")), UsageError, "cannot be read");
});
