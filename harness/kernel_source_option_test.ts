// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "./exit_status.ts";
import { kernelOptionsOf, kernelSourceOption, SOURCE_OPTIONS } from "./kernel_source_option.ts";
import { parseOptions } from "./parse_options.ts";

Deno.test("kernelSourceOption() takes a series of Debian's or a tree, and not both", () => {
  const source = (...args: string[]) => kernelSourceOption(parseOptions(args, { string: SOURCE_OPTIONS }));
  assertEquals(source(), undefined);
  assertEquals(source("--series", "6.12"), { kind: "debian", series: "6.12" });
  assertEquals(source("--kernel-tree", "linux"), { kind: "directory", path: "linux" });
  const both = parseOptions(["--kernel", "a b", "--series", "6.1"], {
    string: [...SOURCE_OPTIONS, "kernel"],
  });
  assertEquals(kernelOptionsOf(both), ["--series", "6.1", "--kernel", "a b"]);
  assertThrows(() => source("--series", "6.12", "--kernel-tree", "linux"), UsageError, "name two kernels");
  assertThrows(() => source("--series", "../6.1"), UsageError, `found "../6.1"`);
});
