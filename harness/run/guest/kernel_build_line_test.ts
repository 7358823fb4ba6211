// SPDX-License-Identifier: MIT

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { KernelSource } from "../../../vm/kernel/source/kernel_source.ts";
import { isCachedKernelLine, kernelBuildLine, kernelText } from "./kernel_build_line.ts";

Deno.test("the line of a kernel says whether it was built or found, and is understood", () => {
  const info = { release: "6.1.0", arch: "i386", source: "s", compiler: "c", seconds: 1 };
  const line = (cached: boolean, source?: KernelSource) => {
    const vmlinux = "/store/from the cache: /vmlinux";
    return kernelBuildLine("i386", { cached, seconds: 61.4, info, vmlinux, patch: "carried" }, source);
  };
  assertEquals(line(false), "i386: Linux 6.1.0, built in 61 s: /store/from the cache: /vmlinux");
  assertEquals([line(true), line(false)].map(isCachedKernelLine), [true, false]);
  const tree = { kind: "directory", path: "/src" } as const;
  assertEquals([line(true, tree), line(false, tree)].map(isCachedKernelLine), [true, false]);
});

Deno.test("kernelText() says of an own tree alone where its checkpoint code comes from", () => {
  const info = { release: "6.1.9", arch: "x86_64", source: "", compiler: "", seconds: 0 };
  const tree = { kind: "directory", path: "/src/linux" } as const;
  assertEquals(kernelText({ info, patch: "added" }), "Linux 6.1.9");
  assertStringIncludes(kernelText({ info, patch: "carried" }, tree), "/src/linux carries the patch");
  assertStringIncludes(kernelText({ info, patch: "added" }, tree), "with the patch added to a copy");
  assertStringIncludes(kernelText({ info, patch: "carried" }, { ...tree, asIs: true }), "built as it is");
});
