// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { KernelSource } from "../../../vm/kernel/source/kernel_source.ts";
import { isCachedKernelLine, kernelBuildLine } from "./kernel_build_line.ts";

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
