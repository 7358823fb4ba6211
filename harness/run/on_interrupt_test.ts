// SPDX-License-Identifier: MIT
/** A run that is asked to end, as a process of its own. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import type { RunResult } from "./run_result.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const FAKE_RUN = [
  "run",
  "-q",
  `--config=${ROOT}deno.json`,
  "-P=vm",
  `${ROOT}harness/run/testing/fake_run.ts`,
];

/** A directory with a place for results and one for temporary files. */
async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-interrupt-" });
  try {
    await Deno.mkdir(`${directory}/tmp`);
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function start(directory: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command("deno", {
    args: [...FAKE_RUN, "run", "--out", `${directory}/out`, ...args],
    env: { TMPDIR: `${directory}/tmp` },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Reads standard output to its end; each line is told. */
async function readLines(child: Deno.ChildProcess, onLine: (line: string) => void): Promise<string[]> {
  const lines: string[] = [];
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    for (const line of parts) {
      lines.push(line);
      onLine(line);
    }
  }
  return lines;
}

async function resultsIn(directory: string): Promise<RunResult> {
  return JSON.parse(await Deno.readTextFile(`${directory}/out/results.json`)) as RunResult;
}

async function namesIn(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) => name);
}

Deno.test("Ctrl-C ends a run in good order: counts, results, nothing left; --resume does the rest", async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    await inDirectory(async (directory) => {
      const child = start(directory);
      const lines = await readLines(
        child,
        (line) => void (line.includes("scenario02") && child.kill(signal)),
      );
      const stderr = new TextDecoder().decode(await child.stderr.bytes());
      const { code } = await child.status;
      assertEquals(code, 130, stderr);
      assertStringIncludes(stderr, `${signal}: ending what runs; what is finished is kept.`);
      assert(stderr.endsWith(`ckptest run: interrupted by ${signal}\n`), stderr);
      const { counts, stopped, results } = await resultsIn(directory);
      assertEquals([counts.failed, counts.lost, stopped], [0, 0, `interrupted by ${signal}`]);
      assert(counts.passed >= 3 && counts.passed < 12, `${counts.passed} passed`);
      assertEquals(results.length, counts.passed);
      assertEquals(lines.slice(-3), [
        `stopped: interrupted by ${signal}`,
        `go on with: deno task test:qemu --resume --out ${directory}/out`,
        `${counts.passed} passed, 0 failed`,
      ]);
      assertEquals(await namesIn(`${directory}/tmp`), []);
      const { code: rest, stdout } = await start(directory, "--resume").output();
      const text = new TextDecoder().decode(stdout);
      assertEquals(rest, 0, text);
      assertMatch(text, new RegExp(`^x86_64: ${counts.passed} scenarios are finished$`, "m"));
      assert(text.endsWith("\n12 passed, 0 failed\n"), text);
      const whole = await resultsIn(directory);
      assertEquals([whole.stopped, new Set(whole.results.map(({ scenario }) => scenario)).size], [
        undefined,
        12,
      ]);
      assertEquals(whole.results.length, 12);
    });
  }
});

Deno.test("a run ends in good order when nobody reads its output any more", async () => {
  await inDirectory(async (directory) => {
    const { stdout, stderr, code } = await new Deno.Command("bash", {
      args: [
        "-c",
        'deno "$@" | head -n 2; exit "${PIPESTATUS[0]}"',
        "sh",
        ...FAKE_RUN,
        "run",
        "--out",
        `${directory}/out`,
      ],
      env: { TMPDIR: `${directory}/tmp` },
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(stderr);
    assertEquals([code, new TextDecoder().decode(stdout).split("\n").length], [141, 3], said);
    assertEquals(said.split("\n").filter((line) => /error|ckptest/.test(line)), []);
    const { counts, stopped } = await resultsIn(directory);
    assert(counts.passed < 12 && stopped !== undefined, `${counts.passed} passed, ${stopped}`);
    assertEquals(await namesIn(`${directory}/tmp`), []);
  });
});

Deno.test("--resume wants a directory with results of the same kernel", async () => {
  await inDirectory(async (directory) => {
    const failing = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await start(directory, ...args).output();
      assertEquals(code, 2);
      return new TextDecoder().decode(stderr);
    };
    assertStringIncludes(
      await failing("--resume"),
      `there is no run to resume in ${directory}/out: it has no results.json`,
    );
    assertEquals((await start(directory).output()).code, 0);
    const path = `${directory}/out/results.json`;
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("Linux 6.1.0", "Linux 6.1.1"));
    assertStringIncludes(await failing("--resume"), "has results of another kernel for x86_64");
  });
});
