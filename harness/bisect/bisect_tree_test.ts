// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { exists } from "@std/fs";
import { join } from "@std/path";
import { listFiles } from "../../vm/kernel/source/kernel_source.ts";
import { BisectTree } from "./bisect_tree.ts";
import { makeSeriesRepository } from "./series_repository.ts";
import { GitFixture } from "./testing/git_fixture.ts";

/** Names and contents of all files below a directory. */
async function contentsOf(directory: string): Promise<Record<string, string>> {
  const contents: Record<string, string> = {};
  for (const line of listFiles(directory)) {
    const path = line.split(" ").slice(3).join(" ");
    const { isSymlink } = await Deno.lstat(join(directory, path));
    contents[path] = isSymlink
      ? `-> ${await Deno.readLink(join(directory, path))}`
      : await Deno.readTextFile(join(directory, path));
  }
  return contents;
}

Deno.test("a tree takes on the state of each commit, and the same state has the same times", async () => {
  await using fixture = await GitFixture.make();
  const [cacheDir, { repository }] = [join(fixture.path, "cache"), fixture];
  await Deno.mkdir(join(fixture.work, "d"));
  await Deno.symlink("../a", join(fixture.work, "d", "link"));
  const first = await fixture.commit("first", { "a": "1", "b c": "1", "d/e": "1", "x": "file" });
  const second = await fixture.commit("second", { "a": "2", "b c": null, "x": null, "x/y": "directory" });
  await Deno.chmod(join(fixture.work, "a"), 0o755);
  const third = await fixture.commit("third", { "new": "3" });
  const manifests: string[][] = [];
  for (const commits of [[first, second, third, first], [third, first]]) {
    await using tree = await BisectTree.take({ cacheDir, repository });
    for (const commit of commits) {
      await tree.moveTo(commit);
      await fixture.git("checkout", "--quiet", commit);
      assertEquals(await contentsOf(tree.path), await contentsOf(fixture.work), commit);
    }
    manifests.push(listFiles(tree.path));
    if (commits.length === 2) {
      await tree.moveTo(second);
      const before = listFiles(tree.path);
      await tree.moveTo(third);
      // A new mode alone is a change, too.
      assertNotEquals(
        before.find((line) => line.endsWith(" a")),
        listFiles(tree.path).find((l) => l.endsWith(" a")),
      );
      assertEquals((await Deno.stat(join(tree.path, "a"))).mode! & 0o111, 0o111);
    }
    await Deno.remove(join(cacheDir, "bisect"), { recursive: true });
  }
  assertEquals(manifests[0], manifests[1]);
});

Deno.test("what was killed on its way to a commit is made anew", async () => {
  await using fixture = await GitFixture.make();
  const [cacheDir, { repository }] = [join(fixture.path, "cache"), fixture];
  const first = await fixture.commit("first", { a: "1", b: "1" });
  const second = await fixture.commit("second", { a: "2" });
  {
    await using tree = await BisectTree.take({ cacheDir, repository });
    await tree.moveTo(first);
    await Deno.remove(join(tree.path, "..", "position.json"));
    await Deno.writeTextFile(join(tree.path, "b"), "half written");
    await Deno.writeTextFile(join(tree.path, "left"), "over");
  }
  await using tree = await BisectTree.take({ cacheDir, repository });
  await tree.moveTo(second);
  assertEquals(await contentsOf(tree.path), { a: "2", b: "1" });
});

Deno.test("two bisects at once have trees of their own", async () => {
  await using fixture = await GitFixture.make();
  const options = { cacheDir: join(fixture.path, "cache"), repository: fixture.repository };
  await using first = await BisectTree.take(options);
  let path = "";
  {
    await using second = await BisectTree.take(options);
    assertNotEquals(first.path, path = second.path);
  }
  await using third = await BisectTree.take(options);
  assertEquals(third.path, path);
});

Deno.test("patches are laid over a kernel that is never written to", async () => {
  await using fixture = await GitFixture.make();
  const base = join(fixture.path, "base");
  const patches = join(fixture.path, "patches");
  await fixture.commit("base", { "Makefile": "all:\n", "kernel/a.c": "1\n", "kernel/b.c": "1\n" });
  await Deno.mkdir(patches);
  await fixture.git("clone", "--quiet", fixture.work, base);
  await fixture.commit("one", { "kernel/a.c": "2\n", "kernel/new.c": "new\n" });
  await fixture.commit("two", { "kernel/b.c": null, "kernel/new.c": "newer\n" });
  await fixture.commit("three", { "kernel/a.c": "1\n" });
  await fixture.git("format-patch", "--quiet", `--output-directory=${patches}`, "HEAD~3");
  const before = await contentsOf(base);
  const times = listFiles(base);
  const { repository, changes } = await makeSeriesRepository({
    ...{ patches, base, directory: join(fixture.path, "series") },
  });
  const options = {
    cacheDir: join(fixture.path, "cache"),
    repository,
    base: { commit: changes[0]!.id, path: base },
  };
  await using tree = await BisectTree.take(options);
  for (
    const [index, expected] of [[2, { "kernel/b.c": undefined, "kernel/new.c": "newer\n" }], [0, {}], [1, {
      "kernel/a.c": "2\n",
      "kernel/new.c": "new\n",
    }]] as const
  ) {
    await tree.moveTo(changes[index]!.id);
    const wanted = Object.entries({
      ...before,
      ...(index === 2 ? { "kernel/a.c": "2\n" } : {}),
      ...expected,
    });
    assertEquals(
      await contentsOf(tree.path),
      Object.fromEntries(wanted.filter(([, text]) => text !== undefined)),
    );
  }
  await tree.moveTo(changes[0]!.id);
  assertEquals(listFiles(tree.path), times);
  assertEquals(await contentsOf(base), before);
  assertEquals(listFiles(base), times);
  const shared = await Deno.stat(join(tree.path, "Makefile"));
  assertEquals(shared.ino, (await Deno.stat(join(base, "Makefile"))).ino);
});

Deno.test("remove() takes the tree away, with what was built in it", async () => {
  await using fixture = await GitFixture.make();
  const cacheDir = join(fixture.path, "cache");
  const commit = await fixture.commit("a kernel", { Makefile: "VERSION = 6\nPATCHLEVEL = 1\n" });
  await using tree = await BisectTree.take({ cacheDir, repository: fixture.repository });
  await tree.moveTo(commit);
  const { identifySource } = await import("../../vm/kernel/source/kernel_source.ts");
  const { treeKey } = await identifySource({ kind: "directory", path: tree.path }, { cacheDir });
  for (
    const name of [`trees/${treeKey}`, `trees/${treeKey}-debug`, `build/${treeKey}-x86_64-abc`, "build/other"]
  ) {
    await Deno.mkdir(join(cacheDir, name), { recursive: true });
  }
  await Deno.writeTextFile(join(cacheDir, "trees", `${treeKey}.json`), "{}");
  await tree.remove();
  assertEquals((await Array.fromAsync(Deno.readDir(join(cacheDir, "trees")))).map(({ name }) => name), []);
  assertEquals((await Array.fromAsync(Deno.readDir(join(cacheDir, "build")))).map(({ name }) => name), [
    "other",
  ]);
  assert(!await exists(tree.path));
});
