// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../vm/host/errors.ts";
import { changedLines } from "./changed_lines.ts";

async function withRepository(
  use: (directory: string, git: (...args: string[]) => Promise<void>) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-changed-" });
  const git = async (...args: string[]): Promise<void> => {
    const own = ["-C", directory, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
    const { success, stderr } = await new Deno.Command("git", { args: [...own, ...args] }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  try {
    await git("init", "-q", "-b", "main");
    await use(directory, git);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("changedLines() finds lines that were changed or added since a commit, and new files", async () => {
  await withRepository(async (directory, git) => {
    const write = (name: string, text: string) => Deno.writeTextFile(`${directory}/${name}`, text);
    await Deno.mkdir(`${directory}/overlay/mm`, { recursive: true });
    await write("overlay/mm/a.c", "one\ntwo\nthree\nfour\nfive\n");
    await write("overlay/same.c", "same\n");
    await write("overlay/end.c", "a\nb");
    await write("outside.c", "out\n");
    await git("add", ".");
    await git("commit", "-q", "-m", "first");
    assertEquals(await changedLines(`${directory}/overlay`, "HEAD"), new Map());
    // A line that goes changes none; one that looks like a header is in a hunk.
    await write("overlay/mm/a.c", "one\n++ b/x.c\nthree\nfive\nsix\n@@ -1 +1 @@\n");
    await git("commit", "-q", "-am", "second");
    await write("overlay/end.c", "a\nB\nc");
    await write("overlay/new file.c", "1\n2\n");
    await write("outside.c", "changed\n");
    const changed = await changedLines(`${directory}/overlay`, "HEAD~1");
    assertEquals(Object.fromEntries([...changed].map(([path, lines]) => [path, [...lines]])), {
      "end.c": [2, 3],
      "mm/a.c": [2, 5, 6],
      "new file.c": [1, 2, 3],
    });
    assertEquals([...(await changedLines(`${directory}/overlay`, "HEAD")).keys()], ["end.c", "new file.c"]);
  });
});

Deno.test("changedLines() refuses what is no commit, and options", async () => {
  await withRepository(async (directory, git) => {
    await git("commit", "-q", "--allow-empty", "-m", "first");
    for (const commit of ["none", "--output=x", "HEAD~5"]) {
      await assertRejects(() => changedLines(directory, commit), UsageError, "option --diff takes a commit");
    }
  });
});
