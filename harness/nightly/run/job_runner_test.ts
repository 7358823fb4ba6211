// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CKPTEST_RUNNER, type JobPlace } from "./job_runner.ts";
import type { JobCommand } from "../plan/planned_job.ts";
import { fakeJob } from "../testing/fake_jobs.ts";
import { NightFixture } from "../testing/nightly_fixture.ts";

async function runJob(fixture: NightFixture, command: JobCommand, place: Partial<JobPlace> = {}) {
  const job = { ...await fakeJob("6.1/x86_64/plain/catalogue", {}), command };
  const { path } = fixture;
  const signal = new AbortController().signal;
  return await CKPTEST_RUNNER.run(job, { out: path, logPath: `${path}/log`, tmp: path, signal, ...place });
}

Deno.test("a job is a process of this ckptest's, its output goes to the log", async () => {
  await using fixture = await NightFixture.make();
  const { code } = await runJob(fixture, { kind: "ckptest", args: ["list"], writesResults: false });
  assertEquals(code, 0);
  assertStringIncludes(await Deno.readTextFile(`${fixture.path}/log`), "ldt_full");
});

Deno.test("a job of tests writes their report", async () => {
  await using fixture = await NightFixture.make();
  const file = "harness/nightly/plan/parse_quantity_test.ts";
  const { code, lines } = await runJob(fixture, { kind: "test", file, permissions: "test" });
  assertEquals(code, 0, lines.join("\n"));
  assertStringIncludes(await Deno.readTextFile(`${fixture.path}/junit.xml`), "parseSeconds()");
});

Deno.test("a signal ends a job", async () => {
  await using fixture = await NightFixture.make();
  const command = { kind: "ckptest", args: ["list"], writesResults: false } as const;
  const { code, signal } = await runJob(fixture, command, { signal: AbortSignal.abort() });
  assertEquals(signal, "SIGKILL");
  assert(code !== 0);
});
