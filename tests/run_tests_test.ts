// SPDX-License-Identifier: MIT
import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { countJUnit, exitStatus, groupFiles, splitArguments, summarize } from "./run_tests.ts";

const ROOT = fromFileUrl(new URL("../", import.meta.url));

interface Outcome {
  code: number;
  lines: string[];
}

/** Runs the runner as `deno task test` does, over one test file with this content. */
async function runChecked(source: string, ...args: string[]): Promise<Outcome> {
  const dir = await Deno.makeTempDir({ prefix: "ckptest-runner-" });
  try {
    await Deno.writeTextFile(join(dir, "sample_test.ts"), source);
    const { code, stdout } = await new Deno.Command("deno", {
      args: ["run", "-q", "-P=run-tests", "tests/run_tests.ts", dir, ...args],
      cwd: ROOT,
      env: { INIT_CWD: ROOT, NO_COLOR: "1" },
      stdin: "null",
      stderr: "null",
      signal: AbortSignal.timeout(120_000),
    }).output();
    return { code, lines: new TextDecoder().decode(stdout).trimEnd().split("\n") };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The same without a type check, which takes most of a small run's time. */
function runOver(source: string, ...args: string[]): Promise<Outcome> {
  return runChecked(source, "--no-check", ...args);
}

Deno.test("the runner passes when all tests pass, and counts skipped ones apart", async () => {
  const { code, lines } = await runOver(`
    Deno.test("a", async (t) => void await t.step("s", () => {}));
    Deno.test.ignore("b", () => {});
  `);
  assertEquals([code, lines.at(-1)], [0, "1 passed, 0 failed, 1 skipped"]);
});

Deno.test("the runner fails when a test fails, and shows which", async () => {
  const { code, lines } = await runOver(`
    Deno.test("good", () => {});
    Deno.test("bad", async (t) => void await t.step("s", () => { throw new Error("on purpose"); }));
  `);
  assertEquals([code, lines.at(-1)], [1, "1 passed, 1 failed"]);
  assertStringIncludes(lines.join("\n"), "on purpose");
});

Deno.test("tests of many files are all counted, and a failed one is shown with its file", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ckptest-runner-" });
  try {
    const count = 3 * navigator.hardwareConcurrency + 10;
    for (let index = 0; index < count; index++) {
      const work = index === 5 ? `throw new Error("on purpose");` : "";
      await Deno.writeTextFile(join(dir, `f${index}_test.ts`), `Deno.test("same", () => {${work}});`);
    }
    const { code, lines } = await runOver(`Deno.test("same", () => {});`, dir);
    assertEquals([code, lines.at(-1)], [1, `${count} passed, 1 failed`]);
    assertStringIncludes(lines.join("\n"), join(dir, "f5_test.ts"));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("the runner fails when a file does not compile", async () => {
  const mistake = `const a: number = "b"; Deno.test("a", () => void a);`;
  const { code, lines } = await runChecked(mistake);
  assertEquals([code, lines.at(-1)], [1, "1 passed, 1 failed"]);
  const unchecked = await runOver(mistake);
  assertEquals([unchecked.code, unchecked.lines.at(-1)], [0, "1 passed, 0 failed"]);
});

Deno.test("the runner fails when a file throws before its tests", async () => {
  const { code, lines } = await runOver(`throw new Error("early"); Deno.test("a", () => {});`);
  assertEquals([code, lines.at(-1)], [1, "0 passed, 1 failed"]);
});

Deno.test("a filter that matches nothing ends with status 5, unlike one that matches", async () => {
  const source = `Deno.test("a", () => {}); Deno.test("b", () => {});`;
  const none = await runOver(source, "--filter", "no such test");
  assertEquals([none.code, none.lines.at(-1)], [5, "0 passed, 0 failed"]);
  const one = await runOver(source, "--filter", "b");
  assertEquals([one.code, one.lines.at(-1)], [0, "1 passed, 0 failed"]);
});

Deno.test("an empty shard and a folder without tests end with status 5", async () => {
  const shards = await Promise.all(
    ["1/2", "2/2"].map((part) => runOver(`Deno.test("a", () => {});`, "--shard", part)),
  );
  assertEquals(shards.map(({ code }) => code).sort(), [0, 5]);
  const empty = await runOver("");
  assertEquals([empty.code, empty.lines.at(-1)], [5, "0 passed, 0 failed"]);
});

Deno.test("a path that does not exist ends with status 2", async () => {
  const { code } = await runOver("", "no/such/folder");
  assertEquals(code, 2);
});

Deno.test("paths begin where the user called deno task", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ckptest-runner-" });
  try {
    await Deno.writeTextFile(join(dir, "sample_test.ts"), `Deno.test("a", () => {});`);
    const { code, stdout } = await new Deno.Command("deno", {
      args: ["run", "-q", "-P=run-tests", "tests/run_tests.ts", "sample_test.ts", "--no-check"],
      ...{ cwd: ROOT, env: { NO_COLOR: "1", INIT_CWD: dir }, stdin: "null", stderr: "null" },
    }).output();
    assertEquals([code, new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1)], [
      0,
      "1 passed, 0 failed",
    ]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("countJUnit() counts tests, not their steps", () => {
  const xml = `<testsuites><testsuite name="x" tests="4">
    <testcase name="a" line="1"><failure message="1 test step failed">1 failed.</failure></testcase>
    <testcase name="a &gt; s" line="1"><failure message="&lt;skipped/&gt;">no</failure></testcase>
    <testcase name="b &gt; c" line="1"></testcase>
    <testcase name="d" time="0.000" line="1"><skipped/></testcase>
    <testcase name="filtered out" line="1"><skipped/></testcase>
  </testsuite><testsuite name="y" tests="1">
    <testcase name="a &gt; s" line="1"></testcase>
  </testsuite></testsuites>`;
  assertEquals(countJUnit(xml), { passed: 2, failed: 1, skipped: 1 });
  assertEquals(countJUnit(""), { passed: 0, failed: 0, skipped: 0 });
});

Deno.test("the runner explains itself, and ends quietly when nobody reads on", async () => {
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: [
        "-c",
        'deno run -q -P=run-tests tests/run_tests.ts "$@" | head -n 1; exit "${PIPESTATUS[0]}"',
        "sh",
        ...args,
      ],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    assertEquals(/Uncaught|^ +at /m.test(decoder.decode(stderr)), false, decoder.decode(stderr));
    return `${code} ${decoder.decode(stdout)}`;
  };
  assertStringIncludes(await run("--help"), "0 usage: deno task test|");
  // A line for each file that has none of the tests, and one that counts.
  const many = ["lib/abi", "harness/bisect/evidence_test.ts", "--no-check", "--reporter=tap"];
  assertStringIncludes(await run(...many), "141 ");
});

Deno.test("summarize() and exitStatus() agree with the counts", () => {
  assertEquals(summarize({ passed: 3, failed: 0, skipped: 0 }), "3 passed, 0 failed");
  assertEquals(exitStatus({ passed: 3, failed: 0, skipped: 1 }), 0);
  assertEquals(exitStatus({ passed: 3, failed: 1, skipped: 0 }), 1);
  assertEquals(exitStatus({ passed: 0, failed: 0, skipped: 4 }), 5);
});

Deno.test("splitArguments() tells paths from options and their values", () => {
  assertEquals(splitArguments(["lib", "--filter", "a b", "--fail-fast", "vm", "--shard=1/2"]), {
    suite: "host",
    paths: ["lib", "vm"],
    options: ["--filter", "a b", "--fail-fast", "--shard=1/2"],
  });
  assertEquals(splitArguments(["--guests", "vm"]), { suite: "guest", paths: ["vm"], options: [] });
  assertEquals(splitArguments(["--unit"]), { suite: "unit", paths: [], options: [] });
  assertEquals(splitArguments(["--deep"]), { suite: "deep", paths: [], options: [] });
});

Deno.test("groupFiles() keeps lib apart, and keeps to the suite", () => {
  const files = [
    ...["vm/b_test.ts", "lib/a_test.ts", "lib/std/c_test.ts", "lib/a.ts"],
    ...[
      "tests/d_qemu_test.ts",
      "tests/e_deep_test.ts",
      "tests/f_test.ts",
      ...["vm/g_slow_test.ts", "lib/i_slow_test.ts"],
      "tests/tidy/h_test.ts",
    ],
  ];
  const quick = ["lib/std/c_test.ts", "tests/tidy/h_test.ts", "vm/b_test.ts"];
  assertEquals(groupFiles(files), [
    { permissions: "test", files: ["tests/f_test.ts", ...quick] },
    { permissions: "lib", files: ["lib/a_test.ts"] },
  ]);
  assertEquals(groupFiles(files, "unit"), [
    { permissions: "test", files: quick },
    { permissions: "lib", files: ["lib/a_test.ts"] },
  ]);
  assertEquals(groupFiles(files, "guest"), [
    { permissions: "lib", files: ["lib/i_slow_test.ts"] },
    { permissions: "test", files: ["vm/g_slow_test.ts"] },
    { permissions: "vm", files: ["tests/d_qemu_test.ts"] },
  ]);
  assertEquals(groupFiles(files, "deep"), [{ permissions: "vm", files: ["tests/e_deep_test.ts"] }]);
});
