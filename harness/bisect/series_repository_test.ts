// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { listPatches, makeSeriesRepository, patchNamed } from "./series_repository.ts";
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
  const make = async (name: string) =>
    (await makeSeriesRepository({ patches, base: fixture.work, directory: join(fixture.path, name) }))
      .changes;
  const changes = await make("first");
  assertEquals(changes.map(({ name, title }) => [name, title]), [
    ["0", "none of the patches"],
    ["0001-one-begin.patch", "one: begin"],
    ["0002-two-go-on.patch", "two: go on"],
  ]);
  assertEquals(changes[1]?.author, "Ada Byron <ada@example.org>");
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
  const { changes, repository } = await makeSeriesRepository({ patches, base: fixture.work, directory });
  assertEquals(changes.at(-1)?.title, "by-hand");
  assertEquals(await repository.run(["show", `${changes.at(-1)?.id}:a.c`]), "3\n");
});

Deno.test("a patch that does not apply is named, with what it does not apply to", async () => {
  const { fixture, patches } = await makeSeries();
  await using _fixture = fixture;
  await Deno.writeTextFile(join(fixture.work, "a.c"), "something else\n");
  const make = () =>
    makeSeriesRepository({ patches, base: fixture.work, directory: join(fixture.path, "x") });
  const error = await assertRejects(make, UsageError, `${patches}/0001-one-begin.patch does not apply to`);
  assertEquals(/a\.c/.test(error.message), true, error.message);
  await assertRejects(() => listPatches(fixture.work), UsageError, "expected files NNNN-*.patch");
  await assertRejects(() => listPatches(join(fixture.path, "no")), UsageError, "cannot be read");
});
