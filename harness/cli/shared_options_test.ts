// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { resolve } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import { argsToResume, kernelSourceOption, SOURCE_OPTIONS } from "./shared_options.ts";
import { optionsParser, parseArguments } from "./options.ts";

Deno.test("kernelSourceOption() takes a tree, and leaves the series to the platform", () => {
  const source = (...args: string[]) =>
    kernelSourceOption(parseArguments(optionsParser(SOURCE_OPTIONS), args));
  assertEquals(source(), undefined);
  assertEquals(source("--series", "6.12"), undefined);
  assertEquals(source("--kernel-tree", "linux"), { kind: "directory", path: resolve("linux") });
  assertEquals(source("--kernel-tree", "linux", "--as-is"), {
    kind: "directory",
    path: resolve("linux"),
    asIs: true,
  });
  assertThrows(() => source("--as-is"), UsageError, "--as-is needs --kernel-tree");
});

Deno.test("argsToResume() keeps everything but what says where the results go", () => {
  const args = (...given: string[]) => argsToResume(given);
  assertEquals(args("--filter", "out", "--out", "a", "word"), ["--filter", "out", "word"]);
  assertEquals(args("--out=a", "--resume", "--filter=x"), ["--filter=x"]);
});
