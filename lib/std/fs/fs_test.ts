// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects } from "@std/assert";
import { copy, emptyDir, ensureDir, exists, move, walk } from "@std/fs";
import { join, relative, toFileUrl } from "@std/path";

/** Runs `fn` in a new directory that is removed afterwards. */
async function inTempDir(fn: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "ckptest-fs-" });
  try {
    await fn(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function read(...path: string[]): Promise<string> {
  return Deno.readTextFile(join(...path as [string]));
}

Deno.test("ensureDir() makes parents, keeps what is there, refuses a file", () =>
  inTempDir(async (dir) => {
    await ensureDir(join(dir, "a", "b"));
    await Deno.writeTextFile(join(dir, "a", "b", "kept"), "x");
    await ensureDir(toFileUrl(join(dir, "a", "b")));
    assertEquals(await read(dir, "a", "b", "kept"), "x");
    await assertRejects(() => ensureDir(join(dir, "a", "b", "kept")), Error, "expected a directory");
  }));

Deno.test("exists() tells files from directories", () =>
  inTempDir(async (dir) => {
    await Deno.writeTextFile(join(dir, "file"), "x");
    const answers = [
      await exists(dir),
      await exists(dir, { isFile: true }),
      await exists(join(dir, "file"), { isFile: true, isReadable: true }),
      await exists(join(dir, "file"), { isDirectory: true }),
      await exists(join(dir, "none")),
      await exists(join(dir, "file", "below")),
    ];
    assertEquals(answers, [true, false, true, false, false, false]);
    await assertRejects(() => exists(dir, { isFile: true, isDirectory: true }), TypeError);
  }));

Deno.test("emptyDir() removes all inside and makes what is missing", () =>
  inTempDir(async (dir) => {
    await ensureDir(join(dir, "a", "b"));
    await Deno.writeTextFile(join(dir, "a", "file"), "x");
    await emptyDir(join(dir, "a"));
    await emptyDir(join(dir, "new"));
    assertEquals(await Array.fromAsync(Deno.readDir(join(dir, "a"))), []);
    assertEquals(await exists(join(dir, "new"), { isDirectory: true }), true);
  }));

Deno.test("copy() copies trees and links, and overwrites only when told", () =>
  inTempDir(async (dir) => {
    await ensureDir(join(dir, "from", "deep"));
    await Deno.writeTextFile(join(dir, "from", "deep", "file"), "new");
    await Deno.symlink("deep/file", join(dir, "from", "link"));
    await copy(join(dir, "from"), join(dir, "to"));
    assertEquals(await read(dir, "to", "deep", "file"), "new");
    assertEquals((await Deno.lstat(join(dir, "to", "link"))).isSymlink, true);
    assertEquals(await Deno.readLink(join(dir, "to", "link")), "deep/file");
    await Deno.writeTextFile(join(dir, "to", "deep", "file"), "old");
    await assertRejects(() => copy(join(dir, "from"), join(dir, "to")), Deno.errors.AlreadyExists);
    assertEquals(await read(dir, "to", "deep", "file"), "old");
    await copy(join(dir, "from"), join(dir, "to"), { overwrite: true });
    assertEquals(await read(dir, "to", "deep", "file"), "new");
  }));

Deno.test("copy() keeps times when told", () =>
  inTempDir(async (dir) => {
    await Deno.writeTextFile(join(dir, "a"), "x");
    await Deno.utime(join(dir, "a"), 1000, 2000);
    await copy(join(dir, "a"), join(dir, "b"), { preserveTimestamps: true });
    await copy(join(dir, "a"), join(dir, "c"));
    assertEquals((await Deno.stat(join(dir, "b"))).mtime, new Date(2_000_000));
    assertEquals((await Deno.stat(join(dir, "c"))).mtime?.getTime() === 2_000_000, false);
  }));

Deno.test("move() renames, and replaces only when told", () =>
  inTempDir(async (dir) => {
    await Deno.writeTextFile(join(dir, "a"), "a");
    await Deno.writeTextFile(join(dir, "b"), "b");
    await assertRejects(() => move(join(dir, "a"), join(dir, "b")), Deno.errors.AlreadyExists);
    await assertRejects(() => move(join(dir, "none"), join(dir, "b"), { overwrite: true }));
    assertEquals(await read(dir, "b"), "b");
    await move(join(dir, "a"), join(dir, "b"), { overwrite: true });
    assertEquals([await read(dir, "b"), await exists(join(dir, "a"))], ["a", false]);
  }));

Deno.test("walk() lists what its options choose", () =>
  inTempDir(async (dir) => {
    await ensureDir(join(dir, "a", "skipped"));
    await Deno.writeTextFile(join(dir, "a", "x.ts"), "");
    await Deno.writeTextFile(join(dir, "a", "y.c"), "");
    await Deno.writeTextFile(join(dir, "a", "skipped", "z.ts"), "");
    await Deno.symlink("x.ts", join(dir, "a", "link.ts"));
    const list = async (options?: Parameters<typeof walk>[1]) => {
      const entries = await Array.fromAsync(walk(dir, options));
      return entries.map((entry) => relative(dir, entry.path)).sort();
    };
    assertEquals(await list(), ["", "a", "a/link.ts", "a/skipped", "a/skipped/z.ts", "a/x.ts", "a/y.c"]);
    assertEquals(await list({ maxDepth: 1, includeDirs: false }), []);
    assertEquals(
      await list({ exts: ["ts"], includeDirs: false, includeSymlinks: false, skip: [/skipped/] }),
      [
        "a/x.ts",
      ],
    );
    assertEquals(await list({ followSymlinks: true, exts: [".ts"], skip: [/skipped/] }), [
      "a/x.ts",
      "a/x.ts",
    ]);
    assertEquals(await list({ match: [/\.c$/] }), ["a/y.c"]);
    await assertRejects(() => Array.fromAsync(walk(join(dir, "none"))));
  }));
