// SPDX-License-Identifier: MIT
import { assertEquals, assertNotEquals } from "@std/assert";
import { digestOf } from "./digest.ts";

Deno.test("digestOf() tells lists apart that join to the same bytes", async () => {
  assertNotEquals(await digestOf(["ab", "c"]), await digestOf(["a", "bc"]));
  assertNotEquals(await digestOf(["a"]), await digestOf(["a", ""]));
  assertEquals(await digestOf(["ab"]), await digestOf([new TextEncoder().encode("ab")]));
  assertEquals((await digestOf([])).length, 64);
});
