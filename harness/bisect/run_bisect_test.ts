// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { fromFileUrl } from "@std/path";
import type { Terminal } from "../report/terminal.ts";
import type { FakeScript } from "../nightly/testing/fake_jobs.ts";
import { type BisectResult, exitStatusOfBisect } from "./bisect_result.ts";
import { printBisect } from "./print_bisect.ts";
import { fakeBisect, type FakeBisectOptions } from "./testing/fake_bisect.ts";

const PROGRAM = fromFileUrl(new URL("./testing/fake_bisect.ts", import.meta.url));
const CONFIG = fromFileUrl(new URL("../../deno.json", import.meta.url));

class Fixture implements AsyncDisposable {
  readonly path: string;
  readonly lines: string[] = [];
  readonly terminal: Terminal;

  constructor(path: string) {
    this.path = path;
    this.terminal = {
      result: (line: string) => void this.lines.push(...line.split("\n")),
      note: () => {},
      status: () => {},
      clearStatus: () => {},
      style: (text: string) => text,
    } as unknown as Terminal;
  }

  static async make(): Promise<Fixture> {
    return new Fixture(await Deno.makeTempDir({ prefix: "ckptest-bisect-" }));
  }

  /** Runs a bisect to its end, and prints it. */
  async end(options: Omit<FakeBisectOptions, "path">) {
    const outcome = await fakeBisect({ path: this.path, terminal: this.terminal, ...options });
    if (typeof outcome === "string") throw new Error(outcome);
    printBisect(outcome.result, this.path, this.terminal);
    return { ...outcome, status: exitStatusOfBisect(outcome.standing), text: this.lines.join("\n") };
  }

  async readResult(): Promise<BisectResult> {
    return JSON.parse(await Deno.readTextFile(`${this.path}/bisect.json`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A result without its times. */
function steadyPart({ seconds: _, steps, ...rest }: BisectResult): unknown {
  return {
    ...rest,
    steps: steps.map(({ runs, ...step }) => ({
      ...step,
      runs: runs.map(({ seconds: _seconds, buildSeconds: _buildSeconds, ...run }) => run),
    })),
  };
}

Deno.test("a bisect names the first bad change, how sure that is, and how to see it", async () => {
  await using fixture = await Fixture.make();
  const { result, status, text } = await fixture.end({ changes: 9, firstBad: 7 });
  assertEquals(status, 0);
  assertEquals(result.status, "found");
  assertEquals(result.firstBad.map(({ name }) => name), ["0007-change.patch"]);
  assert(result.confidence >= 0.99);
  assertEquals(await fixture.readResult(), JSON.parse(JSON.stringify(result)));
  for (
    const line of [
      "first bad change: 0007-change.patch",
      "  title:   change 7",
      "  author:  Ada Byron <ada@example.org>",
      "  date:    2026-01-01T00:00:00+00:00",
      "  show it: cat patches/0007-change.patch",
    ]
  ) assert(fixture.lines.includes(line), text);
  assertMatch(text, /^confidence: 99\.\d+ % \(asked for: 99\.0 %\)$/m);
  assertMatch(text, /^ {2}bad +0007-change\.patch .*1 of 1 runs failed$/m);
  assert(!await exists(`${fixture.path}/runs/001/partial`));
  const files = /failing run: (.+)$/m.exec(text)?.[1] ?? "";
  assert(await exists(`${files}/log.txt`), files);
});

Deno.test("changes that do not build are named with the reason, and may be the first bad one", async () => {
  await using fixture = await Fixture.make();
  const script: FakeScript = { "5": { scenarios: {}, build: 3 } };
  const { result, status, text } = await fixture.end({ changes: 8, firstBad: 5, script });
  assertEquals(status, 1);
  assertEquals(result.status, "several");
  assertEquals(result.firstBad.map(({ id }) => id), ["5", "6"]);
  assertStringIncludes(text, "first bad change: one of these 2; the others were skipped");
  assertMatch(text, /skipped +0005-change\.patch .*does not build: built/);
});

Deno.test("an end that does not build or boot, or is not what was said of it, is refused", async () => {
  const refuse = async (script: FakeScript, firstBad = 3) => {
    await using fixture = await Fixture.make();
    const { status, result } = await fixture.end({ changes: 4, firstBad, script });
    assertEquals(result.firstBad, []);
    return `${status}: ${result.problem}`;
  };
  assertMatch(await refuse({ "4": { build: 3 } }), /^3: 0004-change\.patch does not build: built$/);
  assertMatch(await refuse({ "0": { scenarios: {}, status: 5 } }), /^5: 0000-change\.patch /);
  assertMatch(await refuse({ "4": { status: 4, says: "panic" } }), /^4: 0004-change\.patch /);
  assertEquals(await refuse({}, 9), "2: 0004-change.patch is not bad: it passed 10 of 10 runs");
  assertMatch(await refuse({}, 0), /^2: 0000-change\.patch is not good: one fails there, too/);
});

Deno.test("what is finished before an interruption is not run again", async () => {
  await using fixture = await Fixture.make();
  const controller = new AbortController();
  const stop = (line: string) => void (line.startsWith("pass") && controller.abort("interrupted by SIGINT"));
  const terminal = { ...fixture.terminal, result: stop } as Terminal;
  const options = { path: fixture.path, changes: 9, firstBad: 7 };
  assertEquals(
    await fakeBisect({ ...options, terminal, signal: controller.signal }),
    "interrupted by SIGINT",
  );
  assert(!await exists(`${fixture.path}/bisect.json`));
  const { result } = await fixture.end(options);
  await using undisturbed = await Fixture.make();
  assertEquals(steadyPart(result), steadyPart((await undisturbed.end(options)).result));
  const lines = fixture.lines.filter((line) => /^(pass|fail) /.test(line));
  const runs = result.steps.reduce((sum, step) => sum + step.runs.length, 0);
  assertEquals(lines.length, runs - 4);
});

Deno.test("killed at ten random moments and resumed, a bisect ends as an undisturbed one", async () => {
  await using killed = await Fixture.make();
  await using undisturbed = await Fixture.make();
  const start = (path: string) =>
    new Deno.Command("deno", {
      args: ["run", "-q", `--config=${CONFIG}`, "-P=test", PROGRAM, path, "40", "14"],
      env: { NO_COLOR: "1", TMPDIR: undisturbed.path },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  const begin = performance.now();
  const { code, stderr } = await start(undisturbed.path).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  const whole = performance.now() - begin;
  const moments: string[] = [];
  for (let kill = 0; kill < 10; kill++) {
    const child = start(killed.path);
    const moment = Math.random() * whole;
    moments.push(moment.toFixed(0));
    await new Promise((resolve) => setTimeout(resolve, moment));
    try {
      child.kill("SIGKILL");
    } catch {
      // It was at its end.
    }
    await child.output();
  }
  assertEquals((await start(killed.path).output()).code, 0);
  const message = `killed after ${moments.join(", ")} ms`;
  const result = await killed.readResult();
  assertEquals(result.firstBad.map(({ id }) => id), ["14"]);
  assertEquals(steadyPart(result), steadyPart(await undisturbed.readResult()), message);
});
