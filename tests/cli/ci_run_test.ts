// SPDX-License-Identifier: MIT
import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";

const CI_RUN = fromFileUrl(new URL("../../.ci/run", import.meta.url));

/** What the commands that `.ci/run` calls do, as shell code; those that are not given pass. */
interface Commands {
  setup?: string;
  fmt?: string;
  lint?: string;
  check?: string;
  test?: string;
  testQemu?: string;
  /** Whether a debug kernel is in the cache. */
  debugKernel?: string;
}

/** Runs `.ci/run` in a tree of its own, where `setup` and `deno` are scripts of the test. */
async function runCi(commands: Commands): Promise<{ code: number; lines: string[] }> {
  const { setup = ":", fmt = ":", lint = ":", check = ":" } = commands;
  const { test = "echo 3 passed, 0 failed", testQemu = "echo 2 passed, 0 failed" } = commands;
  const { debugKernel = "exit 5" } = commands;
  const dir = await Deno.makeTempDir({ prefix: "ckptest-ci-" });
  try {
    await Deno.mkdir(join(dir, ".ci"), { recursive: true });
    await Deno.mkdir(join(dir, "bin"), { recursive: true });
    await Deno.copyFile(CI_RUN, join(dir, ".ci", "run"));
    await Deno.writeTextFile(join(dir, "setup"), `#!/bin/sh\n${setup}\n`, { mode: 0o755 });
    const deno = `#!/bin/sh
      case "$*" in
      "fmt --check") ${fmt} ;; lint) ${lint} ;; check) ${check} ;;
      "task test") ${test} ;; "task test:qemu --arch all") ${testQemu} ;; "task test:guest") echo 1 passed, 0 failed ;;
      "task ckptest kernel --flavour debug"*) ${debugKernel} ;; "task ckptest kernel "*) exit 5 ;;
      "task test:qemu --flavour debug"*) echo 20 passed, 0 failed ;;
      *) echo "unexpected: $*"; exit 9 ;;
      esac`;
    await Deno.writeTextFile(join(dir, "bin", "deno"), deno, { mode: 0o755 });
    const { code, stdout } = await new Deno.Command("bash", {
      args: ["-c", `PATH=$1:$PATH; exec bash .ci/run 2>&1`, "bash", join(dir, "bin")],
      cwd: dir,
      stdin: "null",
      stderr: "null",
    }).output();
    return { code, lines: new TextDecoder().decode(stdout).trimEnd().split("\n") };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test(".ci/run adds up the counts of all test commands", async () => {
  const { code, lines } = await runCi({ test: "echo 3 passed, 0 failed, 1 skipped" });
  assertEquals([code, lines.at(-1)], [0, "6 passed, 0 failed, 1 skipped"]);
});

Deno.test(".ci/run runs the catalogue on a debug kernel where the cache has one", async () => {
  const { code, lines } = await runCi({ debugKernel: ":" });
  assertEquals([code, lines.at(-1)], [0, "26 passed, 0 failed"]);
});

Deno.test(".ci/run takes the last count that a command prints, and only whole lines", async () => {
  const test = `printf '1 passed, 1 failed\\n4 passed, 0 failed\\nok: 9 passed, 9 failed (1 s)\\n'`;
  const { code, lines } = await runCi({ test });
  assertEquals([code, lines.at(-1)], [0, "7 passed, 0 failed"]);
});

Deno.test(".ci/run runs all stages and fails when one fails", async () => {
  for (const stage of ["fmt", "lint", "check"] as const) {
    const { code, lines } = await runCi({ [stage]: "exit 1" });
    assertEquals([code, lines.at(-1)], [1, "6 passed, 1 failed"], stage);
  }
  const both = await runCi({
    test: "echo 2 passed, 1 failed; exit 1",
    testQemu: "echo 0 passed, 2 failed; exit 1",
  });
  assertEquals([both.code, both.lines.at(-1)], [1, "3 passed, 4 failed"]);
});

Deno.test(".ci/run fails when a test command passes nothing or does not count", async () => {
  const empty = await runCi({ test: "echo 0 passed, 0 failed" });
  assertEquals([empty.code, empty.lines.at(-1)], [1, "3 passed, 1 failed"]);
  assertStringIncludes(empty.lines.join("\n"), "nothing passed in: deno task test");
  const silent = await runCi({ testQemu: ":" });
  assertEquals([silent.code, silent.lines.at(-1)], [1, "4 passed, 1 failed"]);
});

Deno.test(".ci/run does not trust a good count from a command that failed", async () => {
  const { code, lines } = await runCi({ testQemu: "echo 2 passed, 0 failed; exit 4" });
  assertEquals([code, lines.at(-1)], [1, "6 passed, 1 failed"]);
});

Deno.test(".ci/run ends with a count when setup fails or it is stopped", async () => {
  const failed = await runCi({ setup: "exit 1" });
  assertEquals(failed.code, 1);
  assertStringIncludes(failed.lines.at(-1) ?? "", "0 passed, 2 failed");
  const stopped = await runCi({ test: "kill -TERM $PPID; echo 1 passed, 0 failed" });
  assertEquals(stopped.code, 1);
  assertStringIncludes(stopped.lines.at(-1) ?? "", " failed");
});
