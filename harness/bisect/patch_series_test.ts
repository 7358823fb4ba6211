// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { runGit } from "../../vm/host/run_git.ts";
import { commitPatches, patchNamed } from "./patch_series.ts";
import { GitFixture } from "./testing/git_fixture.ts";

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
