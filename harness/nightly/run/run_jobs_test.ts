// SPDX-License-Identifier: MIT

import { assertEquals, assertMatch } from "@std/assert";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { runCommand } from "../../../vm/host/run_command.ts";
import type { NightlyResult } from "../nightly_result.ts";
import type { JobRunner } from "./judge_job.ts";
import { NightlyFixture } from "../testing/nightly_fixture.ts";
import { progressLine, secondsLeft } from "./run_jobs.ts";

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

const STATE = {
  ...{ total: 12, done: 3, failed: 1, slots: 2 },
  running: new Map([["a", 0], ["b", 10_000]]),
  waiting: ["c", "d"],
};

Deno.test("the status line says what is done, failed, running, and how long the rest takes", () => {
  const durations = new Map([["a", 100], ["b", 100], ["c", 600], ["d", 600]]);
  assertEquals(
    progressLine(STATE, durations, 40_000),
    "nightly: 3 of 12 jobs done, 1 failed, 2 running, about 11 min 5 s left: a, b",
  );
  assertEquals(
    progressLine(STATE, new Map(), 0),
    "nightly: 3 of 12 jobs done, 1 failed, 2 running, time left not known: a, b",
  );
});

Deno.test("the rest takes as long as its longest job at least; unknown ones count as the middle of the known", () => {
  const left = (waiting: string[], durations: [string, number][], slots = 2) =>
    secondsLeft({ running: new Map(), waiting, slots }, new Map(durations), 0);
  assertEquals(left(["a", "b"], [["a", 100], ["b", 10]]), 100);
  assertEquals(left(["a", "b", "new"], [["a", 100], ["b", 100]], 1), 300);
  assertEquals(left([], [["a", 100]]), 0);
});

Deno.test("a job that takes longer than it did is about to end", () => {
  assertEquals(
    secondsLeft({ running: new Map([["a", 0]]), waiting: [], slots: 1 }, new Map([["a", 5]]), 60_000),
    1,
  );
});
