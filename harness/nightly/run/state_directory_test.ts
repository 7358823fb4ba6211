// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { stateDirectory } from "./state_directory.ts";

Deno.test("stateDirectory() follows the XDG specification", () => {
  const env = (vars: Record<string, string>) => (name: string): string | undefined => vars[name];
  assertEquals(stateDirectory(env({ XDG_STATE_HOME: "/s", HOME: "/h" })), "/s/ckptest");
  assertEquals(stateDirectory(env({ XDG_STATE_HOME: "s", HOME: "/h" })), "/h/.local/state/ckptest");
  assertEquals(stateDirectory(env({ HOME: "/h" })), "/h/.local/state/ckptest");
  assertThrows(() => stateDirectory(env({})), Error, "neither XDG_STATE_HOME nor HOME");
});
