// SPDX-License-Identifier: MIT

import { assertEquals, assertNotEquals } from "@std/assert";
import { join } from "@std/path";
import { listFiles, pathOf } from "../../vm/kernel/source/kernel_source.ts";
import { type TreeSource, withBisectTree } from "./bisect_tree.ts";
import { runGit } from "../../vm/host/run_git.ts";
import { commitPatches } from "./patch_series.ts";
import { GitFixture } from "./testing/git_fixture.ts";

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
