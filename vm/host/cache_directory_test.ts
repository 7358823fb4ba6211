// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { cacheDirectory } from "./cache_directory.ts";

Deno.test("cacheDirectory() follows XDG_CACHE_HOME, then HOME", () => {
  const from = (env: Record<string, string>) => cacheDirectory((name) => env[name]);
  assertEquals(from({ XDG_CACHE_HOME: "/x", HOME: "/h" }), "/x/ckptest");
  assertEquals(from({ XDG_CACHE_HOME: "relative", HOME: "/h" }), "/h/.cache/ckptest");
  assertEquals(from({ XDG_CACHE_HOME: "", HOME: "/h" }), "/h/.cache/ckptest");
  assertThrows(() => from({}), Error, "XDG_CACHE_HOME");
});
