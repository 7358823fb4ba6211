// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { cpuFeaturesOf } from "./cpu_features.ts";

Deno.test("cpuFeaturesOf() knows models, their variants, and features added or taken away", () => {
  assertEquals(cpuFeaturesOf("qemu32"), { fxsr: true, xsave: false, nx: false });
  assertEquals(cpuFeaturesOf("pentium"), { fxsr: false, xsave: false, nx: false });
  assertEquals(cpuFeaturesOf("Skylake-Client-v2"), { fxsr: true, xsave: true, nx: true });
  assertEquals(cpuFeaturesOf("qemu32,+nx,xsave=on"), { fxsr: true, xsave: true, nx: true });
  assertEquals(cpuFeaturesOf("max,-xsave,nx=off"), { fxsr: true, xsave: false, nx: false });
  assertEquals(cpuFeaturesOf("host"), undefined);
});

Deno.test("cpuFeaturesOf() heeds the kernel's command line", () => {
  assertEquals(cpuFeaturesOf("qemu64", "quiet nofxsr noexec=off"), { fxsr: false, xsave: false, nx: false });
});
