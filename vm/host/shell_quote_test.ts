// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { shellJoin, shellQuote } from "./shell_quote.ts";

Deno.test("shellQuote() leaves harmless words alone and quotes the rest", () => {
  assertEquals(shellQuote("-M"), "-M");
  assertEquals(shellQuote("microvm,acpi=off"), "microvm,acpi=off");
  assertEquals(shellQuote(""), "''");
  assertEquals(shellQuote("a b"), "'a b'");
  assertEquals(shellQuote("it's"), `'it'\\''s'`);
  assertEquals(shellQuote("$HOME"), "'$HOME'");
});

Deno.test("shellJoin() gives a line that the shell splits into the same words", async () => {
  const words = ["plain", "two words", "it's", '$HOME `id` \\ " *', "new\nline", ""];
  const line = `for word in ${shellJoin(words)}; do printf '%s\\0' "$word"; done`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", line] }).output();
  assertEquals(new TextDecoder().decode(stdout).split("\0").slice(0, -1), words);
});
