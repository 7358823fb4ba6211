// SPDX-License-Identifier: MIT

import { assertEquals, assertStringIncludes } from "@std/assert";
import { MissingToolError } from "../../vm/host/find_tool.ts";
import { GuestBuildError } from "../../vm/initramfs/build_guest.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import { BuildError, inStage } from "../../vm/kernel/build/build_error.ts";
import { UsageError } from "../../vm/host/errors.ts";
import { explainError } from "./explain_error.ts";

Deno.test("explainError() gives each kind of error its exit status", () => {
  const status = (error: unknown) => explainError(error)?.status;
  assertEquals(status(new UsageError("no such option")), 2);
  assertEquals(status(new MissingToolError(["gcc"])), 2);
  assertEquals(status(new BuildError({ stage: "build", problem: "make ended with exit status 2" })), 3);
  assertEquals(status(new GuestBuildError("cannot build the agent", ["gcc"], "error: no")), 3);
  const details = { reason: "timeout", awaited: "hello", consoleTail: "", argv: ["qemu", "-m 1"] } as const;
  assertEquals(status(new GuestLostError(details)), 4);
  assertEquals(status(new Error("No space left on device (os error 28)")), 2);
});

Deno.test("explainError() tells a missing tool from a build that failed", async () => {
  const missing = await inStage("configure", () => Promise.reject(new MissingToolError(["bison"])))
    .catch((error) => explainError(error));
  assertEquals(missing?.status, 2);
  assertStringIncludes(missing?.text ?? "", "bison");
});

Deno.test("explainError() shows how to start a lost guest again", () => {
  const argv = ["qemu-system-x86_64", "-append", "a b"];
  const lost = new GuestLostError({ reason: "panic", awaited: "an image", consoleTail: "", argv });
  assertStringIncludes(explainError(lost)?.text ?? "", "reproduce with:\n  qemu-system-x86_64 -append 'a b'");
});

Deno.test("explainError() shows the synopsis for mistakes in the command line alone", () => {
  assertEquals(explainError(new UsageError("x"))?.showUsage, true);
  assertEquals(explainError(new MissingToolError(["gcc"]))?.showUsage, false);
});

Deno.test("explainError() leaves bugs alone", () => {
  assertEquals(explainError(new TypeError("undefined is not a function")), undefined);
  assertEquals(explainError("text"), undefined);
});
