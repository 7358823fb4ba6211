// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { survivorsOn } from "../run_mutants.ts";

Deno.test("debug kernels kill every mutant for them, and name its line", async () => {
  assertEquals(await survivorsOn(["x86_64-debug"]), []);
});

Deno.test("kernels for several processors, and as distributions have them, kill every mutant for them", async () => {
  assertEquals(await survivorsOn(["x86_64-smp", "x86_64-smp@5.10", "x86_64-distro"]), []);
});
