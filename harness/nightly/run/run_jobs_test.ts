// SPDX-License-Identifier: MIT

import { assertEquals, assertMatch } from "@std/assert";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { runCommand } from "../../../vm/host/run_command.ts";
import type { NightlyResult } from "../nightly_result.ts";
import type { JobRunner } from "./job_runner.ts";
import { NightlyFixture } from "../testing/nightly_fixture.ts";

const SCRIPT = { "6.1/x86_64/plain/catalogue": {} };

/** A job that a signal from outside ends. */
const ENDED_FROM_OUTSIDE: JobRunner = {
  build: () => Promise.reject(new Error("not built")),
  run: async (_job, { logPath }) => ({
    ...await runCommand(["sh", "-c", "kill -TERM $$"], { logPath }),
    outcome: undefined,
  }),
};

/** The run of that job; our own signal comes so much later, or never. */
async function endedRun(
  ourSignalMs: number | undefined,
  runner = ENDED_FROM_OUTSIDE,
): Promise<NightlyResult> {
  await using fixture = await NightlyFixture.make();
  const controller = new AbortController();
  const abort = (): void => controller.abort("interrupted by SIGTERM");
  const timer = ourSignalMs === undefined ? undefined : setTimeout(abort, ourSignalMs);
  const result = await fixture.run(SCRIPT, { runner, signal: controller.signal });
  clearTimeout(timer);
  return result;
}

Deno.test("a job that got the signal before the run did is no failure, but missing", async () => {
  const { jobs: [job], run } = await endedRun(300);
  assertEquals([job?.status, job?.failure, run.stopped], ["missing", undefined, "interrupted by SIGTERM"]);
});

Deno.test("a job that says that it was interrupted is no failure, but missing", async () => {
  const interrupted: JobRunner = {
    ...ENDED_FROM_OUTSIDE,
    run: async (_job, { logPath }) => ({
      ...await runCommand(["sh", "-c", "exit 130"], { logPath }),
      outcome: { status: EXIT_STATUS.interrupted },
    }),
  };
  const { jobs: [job] } = await endedRun(300, interrupted);
  assertEquals([job?.status, job?.failure], ["missing", undefined]);
});

Deno.test("a job that a signal ended while the run goes on has failed", async () => {
  const { jobs: [job], run } = await endedRun(undefined);
  assertEquals([job?.status, job?.failure?.kind, run.stopped], ["fail", "crash", undefined]);
  assertMatch(job?.reason ?? "", /SIGTERM/);
});
