// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CKPTEST_RUNNER, type JobEnd, type JobPlace } from "./judge_job.ts";
import type { JobCommand } from "../nightly_result.ts";

/** Runs a job in a directory of its own, and gives its log too. */
async function runJob(command: JobCommand, place: Partial<JobPlace> = {}): Promise<JobEnd & { log: string }> {
  const out = await Deno.makeTempDir();
  try {
    const logPath = `${out}/log`;
    const { signal } = new AbortController();
    const whole = { out, logPath, outcomePath: `${out}/outcome.json`, tmp: out, signal, ...place };
    return {
      ...await CKPTEST_RUNNER.run({ name: "job", command }, whole),
      log: await Deno.readTextFile(logPath).catch(() => ""),
    };
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

Deno.test("a job is a process of this ckptest's: its output goes to the log, its outcome to us", async () => {
  const list = await runJob({ kind: "ckptest", args: ["list"], writesResults: false });
  assertEquals(list.code, 0, list.log);
  assertStringIncludes(list.log, "ldt_full");
  assertEquals<unknown>(list.outcome, { schema: 1, status: 0 });
  const wrong = await runJob({ kind: "ckptest", args: ["list", "--no-such-option"], writesResults: false });
  assertEquals<unknown>(wrong.outcome, { schema: 1, status: 2, problem: "unknown option --no-such-option" });
});

Deno.test("a job of tests tells which one failed", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const run = async (name: string, body: string) => {
      const file = `${dir}/${name}_test.ts`;
      await Deno.writeTextFile(file, body);
      return await runJob({ kind: "test", file });
    };
    const good = await run("good", 'Deno.test("a", () => {});');
    assertEquals([good.code, good.outcome?.status], [0, 0], good.log);
    const bad = await run("bad", 'for (const n of "abc") Deno.test(n, () => { if (n !== "a") throw n; });');
    assertEquals(bad.outcome, { status: 1, problem: 'the test "b" failed, and 1 more' }, bad.log);
    const broken = await run("broken", "const x = ;");
    assertEquals(broken.outcome, undefined);
    assertMatch(broken.log, /not parsed|Expression expected/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a signal ends a job, which then tells nothing", async () => {
  const command = { kind: "ckptest", args: ["list"], writesResults: false } as const;
  const { code, signal, outcome } = await runJob(command, { signal: AbortSignal.abort() });
  assertEquals([signal, outcome], ["SIGKILL", undefined]);
  assert(code !== 0);
});
