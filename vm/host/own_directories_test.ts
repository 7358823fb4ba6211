// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { cacheDirectory, stateDirectory } from "./own_directories.ts";

Deno.test("cacheDirectory() follows XDG_CACHE_HOME, then HOME", () => {
  const from = (env: Record<string, string>) => cacheDirectory((name) => env[name]);
  assertEquals(from({ XDG_CACHE_HOME: "/x", HOME: "/h" }), "/x/ckptest");
  assertEquals(from({ XDG_CACHE_HOME: "relative", HOME: "/h" }), "/h/.cache/ckptest");
  assertEquals(from({ XDG_CACHE_HOME: "", HOME: "/h" }), "/h/.cache/ckptest");
  assertThrows(() => from({}), Error, "XDG_CACHE_HOME");
});

Deno.test("stateDirectory() follows the XDG specification", () => {
  const env = (vars: Record<string, string>) => (name: string): string | undefined => vars[name];
  assertEquals(stateDirectory(env({ XDG_STATE_HOME: "/s", HOME: "/h" })), "/s/ckptest");
  assertEquals(stateDirectory(env({ XDG_STATE_HOME: "s", HOME: "/h" })), "/h/.local/state/ckptest");
  assertEquals(stateDirectory(env({ HOME: "/h" })), "/h/.local/state/ckptest");
  assertThrows(() => stateDirectory(env({})), Error, "neither XDG_STATE_HOME nor HOME");
});
