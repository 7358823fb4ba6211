// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { isOlder } from "./series.ts";

Deno.test("isOlder() compares numbers, not text, as far as the version goes", () => {
  const older = (releases: string[], version: string) => releases.map((release) => isOlder(release, version));
  assertEquals(older(["5.9.1", "5.10.0", "6.1-rc1", "rubbish", "5"], "5.10"), [
    true,
    false,
    false,
    false,
    true,
  ]);
  assertEquals(older(["2.6.28-rc7", "2.6.32", "2.6.4", "2.6", "3.0", "2.6.32.27"], "2.6.32"), [
    ...[true, false, true, true],
    ...[false, false],
  ]);
});
