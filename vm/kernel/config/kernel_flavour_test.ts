// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { basename } from "@std/path";
import { OWN_OVERLAY } from "../build/build_kernel.ts";
import { readOverlay } from "../source/kernel_overlay.ts";
import { flavourMakeVariables } from "./kernel_flavour.ts";

Deno.test("the fault flavour counts the lines of every source of the overlay", async () => {
  const sources = [...(await readOverlay(OWN_OVERLAY)).keys()].filter((path) => path.endsWith(".c"));
  const counted = sources.map((path) => `GCOV_PROFILE_${basename(path, ".c")}.o=y`);
  assertEquals(flavourMakeVariables("fault").toSorted(), [...new Set(counted)].toSorted());
});
