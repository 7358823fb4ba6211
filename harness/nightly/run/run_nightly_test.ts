// SPDX-License-Identifier: MIT

import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { exists } from "@std/fs";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import type { NightlyJob, NightlyResult } from "../nightly_result.ts";
import { History } from "../history/history.ts";
import { exitStatusOfNightly, printNightly } from "../nightly_summary.ts";
import { NightlyFixture } from "../testing/nightly_fixture.ts";
import { fakeRunner, type FakeScript } from "../testing/fake_jobs.ts";

const GOOD: FakeScript = {
  "6.1/x86_64/plain/catalogue": { scenarios: { one: "pass", two: "skip" } },
  "corruptions": {},
};

function jobOf(result: NightlyResult, name: string): NightlyJob {
  const job = result.jobs.find((one) => one.name === name);
  assert(job, `no job ${name}`);
  return job;
}

Deno.test("a nightly run does each job, keeps its files, and ends with the counts", async () => {
  await using fixture = await NightlyFixture.make();
  const result = await fixture.run(GOOD);
  assertEquals(result.counts, { passed: 2, failed: 0, missing: 0 });
  assertEquals(result.scenarios, { passed: 1, failed: 0, lost: 0, skipped: 1 });
  assertEquals(result.changes, []);
  assertEquals(exitStatusOfNightly(result), EXIT_STATUS.pass);
  const files = `${fixture.path}/run0/${jobOf(result, "6.1/x86_64/plain/catalogue").files}`;
  for (const name of ["job.json", "results.json", "log.txt"]) assert(await exists(`${files}/${name}`), name);
  assertEquals(
    await Deno.readTextFile(`${fixture.path}/run0/nightly.json`),
    `${JSON.stringify(result, null, 2)}\n`,
  );
  assert(!await exists(`${fixture.path}/run0/partial/corruptions`));
  printNightly(result, { directory: "out", terminal: fixture.terminal });
  assertEquals(fixture.lines.at(-1), "2 passed, 0 failed");
});

Deno.test("a quiet nightly run prints the jobs that failed, and the summary", async () => {
  await using fixture = await NightlyFixture.make();
  fixture.terminal.isQuiet = true;
  const result = await fixture.run({ ...GOOD, "b/x/plain/bad": { scenarios: { one: "fail" } } });
  assertEquals(fixture.lines.filter((line) => /^(ok|FAIL)/.test(line)).map((line) => line.split(/ +/)[1]), [
    "b/x/plain/bad",
  ]);
  printNightly(result, { directory: "out", terminal: fixture.terminal });
  assertEquals(fixture.lines.at(-1), "2 passed, 1 failed");
});

Deno.test("whatever a job does, the others run, and it fails with its reason and log", async () => {
  await using fixture = await NightlyFixture.make();
  const result = await fixture.run({
    "a/x/plain/unplanned": { problem: "there are no hooks for 5.10\nhint: write some" },
    "b/x/plain/unbuilt": { scenarios: { one: "pass" }, build: 3, told: { problem: "no compiler\nhint" } },
    "b/x/plain/unbuilt too": { scenarios: { one: "pass" }, build: 3 },
    "c/x/plain/found": { scenarios: { one: "pass", two: "fail", three: "fail" } },
    "c/x/plain/panic": { scenarios: { one: "lost" }, status: 4 },
    "c/x/plain/crashed": { status: 134, says: "a stack trace" },
    "c/x/plain/late": { seconds: 30, deadlineSeconds: 0.3 },
    "c/x/plain/nothing": { status: 5, told: { problem: "nothing fits" } },
    "c/x/plain/good": { scenarios: { one: "pass" } },
  } as FakeScript);
  assertEquals(result.counts, { passed: 1, failed: 8, missing: 0 });
  assertEquals(Object.fromEntries(result.jobs.map(({ suite, failure }) => [suite, failure?.kind])), {
    "unplanned": "plan",
    "unbuilt": "build",
    "unbuilt too": "build",
    "found": "test",
    "panic": "guest lost",
    "crashed": "crash",
    "late": "deadline",
    "nothing": "nothing ran",
    "good": undefined,
  });
  assertEquals(jobOf(result, "c/x/plain/found").reason, "2 of 3 scenarios failed: two, three");
  assertEquals(jobOf(result, "a/x/plain/unplanned").reason, "there are no hooks for 5.10");
  assertEquals(jobOf(result, "c/x/plain/late").reason, "not at its end after 0.3 s");
  assertEquals(jobOf(result, "c/x/plain/nothing").reason, "nothing fits");
  assertEquals(jobOf(result, "c/x/plain/crashed").reason, "a stack trace");
  assertEquals(jobOf(result, "b/x/plain/unbuilt").reason, "no compiler");
  for (const { failure, name } of result.jobs) {
    if (failure?.log) assert(await exists(`${fixture.path}/run0/${failure.log}`), name);
    if (failure) assert(failure.logTail.length > 0, name);
  }
  assertEquals(exitStatusOfNightly(result), EXIT_STATUS.testFailed);
});

Deno.test("a job that ends well without its results is no pass", async () => {
  await using fixture = await NightlyFixture.make();
  const script: FakeScript = { "c/x/plain/empty": { scenarios: {} } };
  const runner = fakeRunner({ "c/x/plain/empty": {} });
  const result = await fixture.run(script, { runner });
  assertEquals(result.counts, { passed: 0, failed: 1, missing: 0 });
  assertMatch(result.jobs[0]?.reason ?? "", /results\.json was not written/);
});

Deno.test("a job without results tells why it failed; one that tells nothing crashed, whatever it prints", async () => {
  await using fixture = await NightlyFixture.make();
  const result = await fixture.run({
    found: { status: 1, told: { findings: [{ key: "E_FIELD", text: "mismatch E_FIELD x" }] } },
    failed: { status: 1, told: { problem: 'the test "a" failed' } },
    silent: { status: 6, says: "ckptest run: 3 passed\nFAIL x\n" },
  });
  assertEquals(result.jobs.map(({ failure, reason }) => `${failure?.kind}: ${reason}`), [
    "test: mismatch E_FIELD x",
    'test: the test "a" failed',
    "crash: FAIL x",
  ]);
});

Deno.test("exit status: build failures and lost guests have their own; missing is no pass", async () => {
  await using fixture = await NightlyFixture.make();
  const status = async (script: FakeScript, rest = {}) =>
    exitStatusOfNightly(await fixture.run(script, rest));
  assertEquals(await status({ "a/x/plain/a": { build: 3 } }), EXIT_STATUS.buildFailed);
  assertEquals(await status({ "a/x/plain/a": { status: 4 }, b: {} }), EXIT_STATUS.guestLost);
  assertEquals(await status(GOOD, { planned: { selected: [] } }), EXIT_STATUS.nothingRan);
  const durations = new Map([["corruptions", 900], ["6.1/x86_64/plain/catalogue", 1]]);
  assertEquals(await status(GOOD, { durations, budgetSeconds: 600 }), EXIT_STATUS.testFailed);
});

Deno.test("jobs that do not fit a budget are missing by name, and said to be", async () => {
  await using fixture = await NightlyFixture.make();
  const durations = new Map([["6.1/x86_64/plain/catalogue", 900], ["corruptions", 1]]);
  const result = await fixture.run(GOOD, { durations, budgetSeconds: 600 });
  assertEquals(result.counts, { passed: 1, failed: 0, missing: 1 });
  const { status, reason } = jobOf(result, "6.1/x86_64/plain/catalogue");
  assertEquals(status, "missing");
  assertStringIncludes(reason ?? "", "the budget of 10 min had 10 min left, it takes 15 min");
  assertEquals(result.run.complete, false);
  printNightly(result, { directory: "out", terminal: fixture.terminal });
  assertEquals(fixture.lines.at(-1), "1 passed, 0 failed, 1 missing");
  assert(fixture.lines.some((line) => line.startsWith("missing: 6.1/x86_64/plain/catalogue: not started")));
});

Deno.test("--resume keeps finished jobs of the same contents, and runs the others", async () => {
  await using fixture = await NightlyFixture.make();
  const script = {
    ...GOOD,
    "a/x/plain/found": { scenarios: { one: "fail" } },
    "a/x/plain/broken": { status: 134 },
  };
  await fixture.run(script as FakeScript, { name: "one" });
  const changed = { ...script, "corruptions": { patch: "new" } } as FakeScript;
  const result = await fixture.run(changed, { name: "one", resume: true });
  assertEquals(Object.fromEntries(result.jobs.map(({ suite, reused }) => [suite, reused])), {
    catalogue: true,
    corruptions: false,
    found: true,
    broken: false,
  });
  assertEquals(jobOf(result, "6.1/x86_64/plain/catalogue").run?.results.length, 2);
  assertEquals(result.run.id, "one");
  await assertRejects(
    () => fixture.run(GOOD, { name: "one" }),
    UsageError,
    "holds a nightly run: go on with it",
  );
});

Deno.test("a signal ends what runs, keeps what finished, and says how to go on", async () => {
  await using fixture = await NightlyFixture.make();
  const controller = new AbortController();
  const script: FakeScript = { fast: {}, slow: { seconds: 60 }, waiting: {} };
  const begin = performance.now();
  setTimeout(() => controller.abort("interrupted by SIGINT"), 700);
  const result = await fixture.run(script, { name: "one", slots: 1, signal: controller.signal });
  assert(performance.now() - begin < 20_000);
  assertEquals(result.jobs.map(({ status }) => status), ["pass", "missing", "missing"]);
  assertEquals(result.run.stopped, "interrupted by SIGINT");
  printNightly(result, { directory: "/out", terminal: fixture.terminal, resume: "the same" });
  assert(fixture.lines.includes("go on with: the same"));
  const resumed = await fixture.run({ ...script, slow: {} }, { name: "one", resume: true });
  assertEquals(resumed.counts, { passed: 3, failed: 0, missing: 0 });
  assertEquals(resumed.jobs.map(({ reused }) => reused), [true, false, false]);
});

Deno.test("two runs do not work in one place", async () => {
  await using fixture = await NightlyFixture.make();
  const slow = fixture.run({ slow: { seconds: 0.6 } }, { name: "one" });
  while (!await exists(`${fixture.path}/one/partial/slow`)) await new Promise((done) => setTimeout(done, 20));
  const error = await assertRejects(() => fixture.run(GOOD, { name: "one", resume: true }), UsageError);
  assertMatch(error.message, /another run \(process \d+\) works in .*one: name another place/);
  assertEquals((await slow).counts.passed, 1);
});

Deno.test("--resume where no nightly run lies is refused, and begins none", async () => {
  await using fixture = await NightlyFixture.make();
  await assertRejects(
    () => fixture.run(GOOD, { name: "none", resume: true }),
    UsageError,
    `there is no nightly run to resume in ${fixture.path}/none: it has no plan.json`,
  );
  assertEquals(await exists(`${fixture.path}/none`), false);
});

Deno.test("a job that never ran takes as long as the middle of the others, for the budget too", async () => {
  await using fixture = await NightlyFixture.make();
  const durations = new Map([["a", 1], ["b", 900], ["c", 900]]);
  const { jobs } = await fixture.run({ a: {}, new: {} }, { durations, budgetSeconds: 600, slots: 1 });
  assertEquals(jobs.map(({ name, status }) => [name, status]), [["a", "pass"], ["new", "missing"]]);
  assertStringIncludes(jobs[1]?.reason ?? "", "the budget of 10 min had 10 min left, and it may take 15 min");
  const { counts } = await fixture.run({ new: {} }, { durations: new Map(), budgetSeconds: 600 });
  assertEquals(counts.passed, 1, "where nothing is known it is tried");
});

Deno.test("a run that waits begins when the other has left the place", async () => {
  await using fixture = await NightlyFixture.make();
  const slow = fixture.run({ slow: { seconds: 0.4 } }, { name: "one" });
  while (!await exists(`${fixture.path}/one/partial/slow`)) await new Promise((done) => setTimeout(done, 20));
  const changes = { name: "one", resume: true, wait: true };
  const [first, second] = await Promise.all([slow, fixture.run({ slow: { seconds: 0.4 } }, changes)]);
  assertEquals([...first.jobs, ...second.jobs].map(({ reused }) => reused), [false, true]);
});

Deno.test("kernels are built one at a time, once for all jobs that share one", async () => {
  await using fixture = await NightlyFixture.make();
  const script: FakeScript = Object.fromEntries(
    ["a/x/p/1", "a/x/p/2", "b/x/p/1", "c/x/p/1", "c/x/p/2"].map((name) => [name, { build: 0 }]),
  );
  const { run, build } = fakeRunner(script);
  const builds: string[] = [];
  let building = 0;
  const result = await fixture.run(script, {
    slots: 4,
    runner: {
      run,
      build: async (job, place) => {
        assertEquals(building++, 0, "one build at a time");
        builds.push(job.name.split("/")[0]!);
        const result = await build(job, place);
        building--;
        return result;
      },
    },
  });
  assertEquals(result.counts, { passed: 5, failed: 0, missing: 0 });
  assertEquals(builds, ["a", "b", "c"]);
  assertEquals(result.run.kernels, { built: 3, cached: 0, failed: 0 });
});

Deno.test("the time of a nightly run is accounted for to the end, and kernels are counted", async () => {
  await using fixture = await NightlyFixture.make();
  const script: FakeScript = {
    "a/x/p/1": { seconds: 0.5, build: 0, cached: true },
    "b/x/p/1": { seconds: 0.05, build: 0 },
    "c/x/p/1": { build: 3 },
  };
  const { run } = await fixture.run(script, { planSeconds: 1 });
  assertEquals(run.kernels, { built: 1, cached: 1, failed: 1 });
  const sum = Object.values(run.spent).reduce((total, seconds) => total + seconds, 0);
  assertAlmostEquals(sum, run.milliseconds / 1000 * 2, 0.1);
  assert(run.milliseconds > 1400 && run.spent.planning! >= 1 && run.spent.waiting! > 0, JSON.stringify(run));
  printNightly(await fixture.run(script), { directory: "out", terminal: fixture.terminal });
  const at = fixture.lines.findIndex((line) => line.startsWith("time: "));
  assertMatch(fixture.lines[at] ?? "", /^time: \S+ s, 2 processes side by side, together \S+ s: .*waiting/);
  assertMatch(fixture.lines[at + 1] ?? "", /^ {2}a\/x\/p\/1 0\.\d s$/);
  assertEquals(fixture.lines[at + 3], "kernels: 1 built, 1 from the cache, 1 not built");
});

Deno.test("an error while a job is kept stops the run, and no half result is left", async () => {
  await using fixture = await NightlyFixture.make();
  const { run } = fakeRunner({ corruptions: {} });
  const runner = {
    build: run,
    run: async (...args: Parameters<typeof run>) => {
      const result = await run(...args);
      await Deno.mkdir(`${args[1].out}/job.json`);
      return result;
    },
  };
  await assertRejects(() => fixture.run({ corruptions: {} }, { runner }), UsageError, "cannot be written");
  assert(!await exists(`${fixture.path}/run0/jobs/corruptions`));
  assert(!await exists(`${fixture.path}/run0/nightly.json`));
  assertEquals((await fixture.run({ corruptions: {} }, { name: "run0", resume: true })).counts.passed, 1);
});

Deno.test("a full disk ends the run in good order, and what it spoilt counts as not run", async () => {
  await using fixture = await NightlyFixture.make();
  const script: FakeScript = { fast: {}, full: {}, waiting: {} };
  const { run } = fakeRunner(script);
  const runner = {
    build: run,
    run: (...args: Parameters<typeof run>) => {
      const full = new Deno.errors.WriteZero("No space left on device (os error 28)");
      return args[0].name === "full" ? Promise.reject(full) : run(...args);
    },
  };
  const result = await fixture.run(script, { runner, slots: 1, name: "one" });
  assertEquals(result.jobs.map(({ status }) => status), ["pass", "missing", "missing"]);
  assertStringIncludes(result.run.stopped ?? "", "the disk is full");
  assertEquals(exitStatusOfNightly(result), EXIT_STATUS.usage);
  assertEquals((await fixture.run(script, { name: "one", resume: true })).counts.passed, 3);
});

Deno.test("a history that cannot be written costs no result", async () => {
  await using fixture = await NightlyFixture.make();
  await fixture.run(GOOD);
  const history = await History.open(fixture.historyPath);
  history.recordJob = () => {
    throw new Error("database or disk is full");
  };
  using _ = history;
  assertEquals((await fixture.run(GOOD, { history })).counts, { passed: 2, failed: 0, missing: 0 });
});
