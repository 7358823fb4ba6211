// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { runCommand } from "../../host/run_command.ts";
import { UsageError } from "../../host/errors.ts";
import { readSeriesAuthor, type SeriesAuthorOptions } from "./series_author.ts";

/** Runs a test in a repository whose settings alone name its user: empty ones hide those of the machine. */
async function withRepository(
  settings: Record<string, string>,
  use: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-author-" });
  try {
    await runCommand(["git", "init", "--quiet", directory]);
    for (const [key, value] of Object.entries({ "user.name": "", "user.email": "", ...settings })) {
      await runCommand(["git", "config", key, value], { cwd: directory });
    }
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function assertRefused(options: SeriesAuthorOptions, ...says: string[]): Promise<void> {
  const { message } = await assertRejects(() => readSeriesAuthor(options), UsageError);
  for (const text of says) assertStringIncludes(message, text);
}

const ADA = { name: "Ada Byron", email: "ada@example.org" };

Deno.test("readSeriesAuthor() takes author and date from its options", async () => {
  const author = "Ada Byron <ada@example.org>";
  const expected = { ...ADA, date: "1767222000 +0000" };
  assertEquals(await readSeriesAuthor({ author, date: "2025-12-31T23:00:00Z" }), expected);
  const zoned = { author, date: "2026-01-01T00:00:00+01:00" };
  assertEquals(await readSeriesAuthor(zoned), { ...expected, date: "1767222000 +0100" });
});

Deno.test("readSeriesAuthor() refuses what is no author and no date", async () => {
  const date = "2025-12-31T23:00:00Z";
  await assertRefused({ author: "Ada", date }, `--author: expected "NAME <EMAIL>", found "Ada"`);
  await assertRefused({ author: "<ada@example.org>", date }, "--author");
  await assertRefused({ author: "A <a@b>", date: "yesterday" }, "--date: expected", `found "yesterday"`);
  await assertRefused({ author: "A <a@b>", date: "2025-12-31T23:00" }, "a time with zone");
  await assertRefused({ author: "A <a@b>", date: "2025-13-31T23:00Z" }, "--date");
});

Deno.test("readSeriesAuthor() asks git, and says what git does not know", async () => {
  await withRepository({ "user.name": ADA.name, "user.email": ADA.email }, async (directory) => {
    const date = "2025-12-31T23:00:00Z";
    assertEquals(await readSeriesAuthor({ directory, date }), { ...ADA, date: "1767222000 +0000" });
    await assertRefused({ directory }, "no commit of vm/kernel/overlay", "give option --date");
  });
  await withRepository({ "user.name": ADA.name }, async (directory) => {
    await assertRefused({ directory }, "git has no user.email", "option --author");
  });
});
