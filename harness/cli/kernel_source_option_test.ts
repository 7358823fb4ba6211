// SPDX-License-Identifier: MIT

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../vm/host/errors.ts";
import {
  kernelOptionsOf,
  kernelSourceOption,
  kernelText,
  SOURCE_FLAGS,
  SOURCE_OPTIONS,
} from "./kernel_source_option.ts";
import { parseOptions } from "./parse_options.ts";

Deno.test("kernelSourceOption() takes a tree, and leaves the series to the platform", () => {
  const names = { string: SOURCE_OPTIONS, boolean: SOURCE_FLAGS };
  const source = (...args: string[]) => kernelSourceOption(parseOptions(args, names));
  assertEquals(source(), undefined);
  assertEquals(source("--series", "6.12"), undefined);
  assertEquals(source("--kernel-tree", "linux"), { kind: "directory", path: "linux" });
  assertEquals(source("--kernel-tree", "linux", "--as-is"), { kind: "directory", path: "linux", asIs: true });
  assertThrows(() => source("--as-is"), UsageError, "--as-is needs --kernel-tree");
});

Deno.test("kernelText() says of an own tree alone where its checkpoint code comes from", () => {
  const info = { release: "6.1.9", arch: "x86_64", source: "", compiler: "", seconds: 0 };
  const tree = { kind: "directory", path: "/src/linux" } as const;
  assertEquals(kernelText({ info, patch: "added" }), "Linux 6.1.9");
  assertStringIncludes(kernelText({ info, patch: "carried" }, tree), "/src/linux carries the patch");
  assertStringIncludes(kernelText({ info, patch: "added" }, tree), "with the patch added to a copy");
  assertStringIncludes(kernelText({ info, patch: "carried" }, { ...tree, asIs: true }), "built as it is");
});

Deno.test("kernelOptionsOf() gives the options that name a kernel as they were given", () => {
  const both = parseOptions(["--kernel", "a b", "--series", "6.1"], {
    string: [...SOURCE_OPTIONS, "kernel"],
    boolean: SOURCE_FLAGS,
  });
  assertEquals(kernelOptionsOf(both), ["--series", "6.1", "--kernel", "a b"]);
});
