// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { kernelOptionsOf, kernelSourceOption, SOURCE_OPTIONS } from "./kernel_source_option.ts";
import { parseOptions } from "./parse_options.ts";

Deno.test("kernelSourceOption() takes a tree, and leaves the series to the platform", () => {
  const source = (...args: string[]) => kernelSourceOption(parseOptions(args, { string: SOURCE_OPTIONS }));
  assertEquals(source(), undefined);
  assertEquals(source("--series", "6.12"), undefined);
  assertEquals(source("--kernel-tree", "linux"), { kind: "directory", path: "linux" });
});

Deno.test("kernelOptionsOf() gives the options that name a kernel as they were given", () => {
  const both = parseOptions(["--kernel", "a b", "--series", "6.1"], {
    string: [...SOURCE_OPTIONS, "kernel"],
  });
  assertEquals(kernelOptionsOf(both), ["--series", "6.1", "--kernel", "a b"]);
});
