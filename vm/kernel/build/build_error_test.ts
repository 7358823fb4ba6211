// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MissingToolError } from "../../host/find_tool.ts";
import { BuildError, logTail } from "./build_error.ts";
import { inStage } from "./build_stage.ts";

Deno.test("logTail() shows compiler errors first, then the end", () => {
  const lines = ["  CC a.o", "checkpoint/sys.c:12:5: error: expected ';'", ...Array(40).fill("  CC b.o")];
  const shown = logTail([...lines, "make: *** [Makefile:1: all] Error 2"]).split("\n");
  assertEquals(shown[0], "checkpoint/sys.c:12:5: error: expected ';'");
  assertEquals(shown[1], "[...]");
  assertEquals(shown.at(-1), "make: *** [Makefile:1: all] Error 2");
  assert(shown.length < 20);
});

Deno.test("BuildError names stage, problem, hint, command and log", () => {
  const { message } = new BuildError({
    stage: "configure",
    problem: "make ended with exit status 2",
    hint: "look up",
    command: ["make", "a b"],
    lines: ["one", "two"],
    logPath: "/x/log",
  });
  assertEquals(
    message,
    "kernel configure: make ended with exit status 2\nhint: look up\ncommand: make 'a b'\n" +
      "  | one\n  | two\nfull log: /x/log",
  );
});

Deno.test("inStage() turns a missing tool and a full disk into errors that say what to do", async () => {
  const fail = (error: Error) =>
    assertRejects(() => inStage("apply", () => Promise.reject(error)), BuildError);
  const missing = await fail(new MissingToolError(["flex"]));
  assertEquals(missing.stage, "apply");
  assertStringIncludes(missing.message, "flex");
  assertStringIncludes(missing.message, "./setup");
  const full = await fail(new Error("No space left on device (os error 28)"));
  assertStringIncludes(full.message, "kernel apply: No space left on device");
  assertStringIncludes(full.message, "XDG_CACHE_HOME");
  const own = new BuildError({ stage: "build", problem: "x" });
  assertEquals(await fail(own), own);
});
