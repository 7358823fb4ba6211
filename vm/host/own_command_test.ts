// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { ownCommand } from "./own_command.ts";

Deno.test("ownCommand() gives what the user can type, by task or by the program of ./setup --link", () => {
  const task = (...words: [string, ...string[]]) => ownCommand(words, undefined);
  const program = (...words: [string, ...string[]]) => ownCommand(words, "ckptest");
  assertEquals(task("test:qemu", "--filter", "a b"), "deno task test:qemu --filter 'a b'");
  assertEquals(program("test:qemu", "--filter", "a b"), "ckptest run --filter 'a b'");
  assertEquals([task("ckptest", "fuzz"), program("ckptest", "fuzz")], [
    "deno task ckptest fuzz",
    "ckptest fuzz",
  ]);
  assertEquals([task("nightly"), program("nightly")], ["deno task nightly", "ckptest nightly"]);
});
