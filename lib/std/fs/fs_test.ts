// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects } from "@std/assert";
import { exists, walk } from "@std/fs";
import { join, relative } from "@std/path";

/** Runs `fn` in a new directory that is removed afterwards. */
async function inTempDir(fn: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "ckptest-fs-" });
  try {
    await fn(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("exists() tells files from directories", () =>
  inTempDir(async (dir) => {
    await Deno.writeTextFile(join(dir, "file"), "x");
    const answers = [
      await exists(dir),
      await exists(dir, { isFile: true }),
      await exists(join(dir, "file"), { isFile: true }),
      await exists(join(dir, "none")),
    ];
    assertEquals(answers, [true, false, true, false]);
    await assertRejects(() => exists(join(dir, "file", "below")), Deno.errors.NotADirectory);
  }));

Deno.test("walk() lists what its options choose", () =>
  inTempDir(async (dir) => {
    await Deno.mkdir(join(dir, "a", "skipped"), { recursive: true });
    await Deno.writeTextFile(join(dir, "a", "x.ts"), "");
    await Deno.writeTextFile(join(dir, "a", "y.c"), "");
    await Deno.writeTextFile(join(dir, "a", "skipped", "z.ts"), "");
    await Deno.symlink("x.ts", join(dir, "a", "link.ts"));
    const list = async (options?: Parameters<typeof walk>[1]) => {
      const entries = await Array.fromAsync(walk(dir, options));
      return entries.map((entry) => relative(dir, entry.path)).sort();
    };
    assertEquals(await list(), ["", "a", "a/link.ts", "a/skipped", "a/skipped/z.ts", "a/x.ts", "a/y.c"]);
    assertEquals(await list({ exts: [".ts"], includeDirs: false }), [
      "a/link.ts",
      "a/skipped/z.ts",
      "a/x.ts",
    ]);
    const followed = await list({ followSymlinks: true, exts: [".ts"] });
    assertEquals(followed, ["a/skipped/z.ts", "a/x.ts", "a/x.ts"]);
    await assertRejects(() => Array.fromAsync(walk(join(dir, "none"))));
  }));
