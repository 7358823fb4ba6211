// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { resolve } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import {
  argsToResume,
  FILTER_OPTION,
  kernelSourceOption,
  RUN_OUT_OPTIONS,
  SOURCE_OPTIONS,
} from "./shared_options.ts";
import { parseOptions } from "./parse_options.ts";

Deno.test("kernelSourceOption() takes a tree, and leaves the series to the platform", () => {
  const source = (...args: string[]) => kernelSourceOption(parseOptions(args, { options: SOURCE_OPTIONS }));
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
  const specs = { options: { ...FILTER_OPTION, ...RUN_OUT_OPTIONS }, words: {} };
  const args = (...given: string[]) => argsToResume(parseOptions(given, specs));
  assertEquals(args("--filter", "out", "--out", "a", "word"), ["--filter", "out", "word"]);
  assertEquals(args("--out=a", "--resume", "--filter=x"), ["--filter=x"]);
});
