// SPDX-License-Identifier: MIT
import { assertEquals, assertStringIncludes } from "@std/assert";
import { GuestLostError } from "./guest_lost_error.ts";

Deno.test("GuestLostError() names reason, what was awaited, detail and console", () => {
  const error = new GuestLostError({
    reason: "panic",
    awaited: "the agent's hello",
    detail: "panic text found",
    consoleTail: "line one\nKernel panic - not syncing: no init\n",
    argv: ["qemu-system-x86_64", "-append", "quiet panic=-1"],
  });
  assertEquals(error.reason, "panic");
  assertStringIncludes(error.message, "guest lost (panic)");
  assertStringIncludes(error.message, "waiting for the agent's hello");
  assertStringIncludes(error.message, "panic text found");
  assertStringIncludes(error.message, "  | Kernel panic - not syncing: no init");
  assertEquals(error.command, "qemu-system-x86_64 -append 'quiet panic=-1'");
});

Deno.test("GuestLostError() says so when the console is empty", () => {
  const error = new GuestLostError({ reason: "timeout", awaited: "boot", consoleTail: "\n", argv: [] });
  assertStringIncludes(error.message, "the console is empty");
});
