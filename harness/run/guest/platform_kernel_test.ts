// SPDX-License-Identifier: MIT

import { assertEquals, assertStringIncludes } from "@std/assert";
import { kernelBuildLine, kernelText } from "./platform_kernel.ts";

Deno.test("the line of a kernel says whether it was built or found", () => {
  const info = { release: "6.1.0", arch: "i386", source: "s", compiler: "c", seconds: 1 };
  const line = (cached: boolean) =>
    kernelBuildLine("i386", { cached, seconds: 61.4, info, vmlinux: "/store/vmlinux", patch: "carried" });
  assertEquals(line(false), "i386: Linux 6.1.0, built in 61 s: /store/vmlinux");
  assertEquals(line(true), "i386: Linux 6.1.0, from the cache: /store/vmlinux");
});

Deno.test("kernelText() says of an own tree alone where its checkpoint code comes from", () => {
  const info = { release: "6.1.9", arch: "x86_64", source: "", compiler: "", seconds: 0 };
  const tree = { kind: "directory", path: "/src/linux" } as const;
  assertEquals(kernelText({ info, patch: "added" }), "Linux 6.1.9");
  assertStringIncludes(kernelText({ info, patch: "carried" }, tree), "/src/linux carries the patch");
  assertStringIncludes(kernelText({ info, patch: "added" }, tree), "with the patch added to a copy");
  assertStringIncludes(kernelText({ info, patch: "carried" }, { ...tree, asIs: true }), "built as it is");
});
