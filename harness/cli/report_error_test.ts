// SPDX-License-Identifier: MIT

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ScenarioError } from "../../lib/model/scenario.ts";
import { EXIT_STATUS, InterruptedError, UsageError } from "../../vm/host/errors.ts";
import { MissingToolError } from "../../vm/host/find_tool.ts";
import { GuestBuildError } from "../../vm/initramfs/build_guest.ts";
import { BuildError } from "../../vm/kernel/build/build_error.ts";
import { inStage } from "../../vm/kernel/build/build_stage.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import { runCommandLine } from "./command_line.ts";
import { defineCommand } from "./options.ts";
import { reportError } from "./report_error.ts";

const COMMAND = { name: "run", args: ["--filter", "x"] };
const LOST = {
  reason: "panic",
  awaited: "an image",
  consoleTail: "",
  argv: ["qemu-system-x86_64", "-append", "a b"],
} as const;

Deno.test("reportError() gives each kind of error its exit status", async () => {
  const status = async (error: unknown) => (await reportError(error, COMMAND)).status;
  assertEquals(await status(new UsageError("no such option")), 2);
  assertEquals(await status(new ScenarioError("no such step")), 2);
  assertEquals(await status(new MissingToolError(["gcc"])), 2);
  assertEquals(await status(new BuildError({ stage: "build", problem: "make ended with exit status 2" })), 3);
  assertEquals(await status(new GuestBuildError("cannot build the agent", ["gcc"], "error: no")), 3);
  assertEquals(await status(new GuestLostError(LOST)), 4);
  assertEquals(await status(new Error("No space left on device (os error 28)")), 2);
  assertEquals(await status(new InterruptedError("interrupted by SIGINT")), 130);
  const unread = await Deno.readFile(".").catch((error) => error);
  assertEquals(await status(unread), 2);
});

Deno.test("reportError() says nothing where nobody reads any more", async () => {
  assertEquals(await reportError(new Deno.errors.BrokenPipe("Broken pipe"), COMMAND), {
    status: EXIT_STATUS.brokenPipe,
    text: undefined,
    problem: "Broken pipe",
  });
});

Deno.test("reportError() tells a missing tool from a build that failed", async () => {
  const error = await inStage("configure", () => Promise.reject(new MissingToolError(["bison"])))
    .catch((error) => error);
  const { status, text } = await reportError(error, COMMAND);
  assertEquals(status, 2);
  assertStringIncludes(text ?? "", "bison");
});

Deno.test("an interrupted build is no build that failed", async () => {
  const error = await inStage("build", () => Promise.reject(new InterruptedError("interrupted by SIGINT")))
    .catch((error) => error);
  assertEquals((await reportError(error, COMMAND)).status, 130);
});

Deno.test("reportError() shows how to start a lost guest again", async () => {
  const { text } = await reportError(new GuestLostError(LOST), COMMAND);
  assertStringIncludes(
    text ?? "",
    "to boot it alone, the console on the terminal (Ctrl-A X ends it):\n  qemu-system-x86_64 -append 'a b'",
  );
});

Deno.test("reportError() calls any other error ckptest's own, and keeps its stack trace in a file", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const error = new TypeError("x is not a function\nmore");
    const { status, text } = await reportError(error, { ...COMMAND, errorDirectory: `${directory}/new` });
    assertEquals(status, 70);
    const [first, second, ...more] = text!.split("\n");
    assertEquals([first, more], ["ckptest run: TypeError: x is not a function", []]);
    const file = /^this is an error of ckptest itself: please report it .* with (\S+)$/.exec(second!)?.[1];
    const kept = await Deno.readTextFile(file!);
    assertMatch(kept, /^ckptest run --filter x$/m);
    assertMatch(kept, /^ {4}at .*report_error_test\.ts:\d+/m);
    // Where it cannot be kept, it is shown.
    const shown = await reportError("text", { ...COMMAND, errorDirectory: `${file}/x` });
    assertMatch(shown.text!, /ckptest run: thrown: text\n[^]*ckptest run --filter x/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("runCommandLine() ends with the status of what a command throws", async () => {
  const { error: write } = console;
  const said: string[] = [];
  console.error = (text: string) => void said.push(text);
  try {
    const command = (error: Error) => defineCommand({}, { about: "", run: () => Promise.reject(error) });
    const odd = (error: Error) => runCommandLine(["odd"], { odd: () => Promise.resolve(command(error)) });
    assertEquals(await odd(new UsageError("no")), 2);
    assertEquals(said, ["ckptest odd: no"]);
    assertEquals(
      await runCommandLine(["odd", "word"], { odd: () => Promise.resolve(command(new Error())) }),
      2,
    );
    assertEquals(
      await runCommandLine(["odd"], { odd: () => Promise.reject(new InterruptedError("x")) }),
      130,
    );
  } finally {
    console.error = write;
  }
});
