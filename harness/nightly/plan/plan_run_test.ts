// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { runCommand } from "../../../vm/host/run_command.ts";
import { fetchGitTree } from "./plan_jobs.ts";
import { History } from "../history/history.ts";
import { checkScenarios, planRun, type PlanRunOptions } from "./plan_run.ts";
import type { NightlyPlan, PlannedJob } from "../nightly_result.ts";
import { NightlyFixture } from "../testing/nightly_fixture.ts";
import type { Scenario } from "../../../lib/model/scenario.ts";

async function planOf(
  fixture: NightlyFixture,
  jobs: unknown,
  options: Partial<PlanRunOptions> = {},
): Promise<NightlyPlan> {
  const matrixPath = `${fixture.path}/m.json`;
  await Deno.writeTextFile(matrixPath, JSON.stringify({ jobs }));
  using history = await History.open(fixture.historyPath);
  const { plan } = await planRun({
    ...{ matrixPath, only: [], filter: [], shard: undefined, shardDurations: undefined, history },
    ...options,
  });
  return plan;
}

/** A product whose kernel is a file. */
async function product(fixture: NightlyFixture, change: Record<string, unknown> = {}): Promise<unknown> {
  await Deno.writeTextFile(`${fixture.path}/bzImage`, "a kernel");
  return {
    kernels: [{ file: "bzImage" }],
    platforms: ["x86_64", "compat"],
    suites: ["catalogue"],
    ...change,
  };
}

function command({ command }: PlannedJob): readonly string[] {
  return command.kind === "ckptest" ? command.args : [command.file];
}

Deno.test("a job's command line says all that the matrix and the command line ask for", async () => {
  await using fixture = await NightlyFixture.make();
  const suites = ["catalogue", { suite: "fuzz", count: 7, seed: 3, draws: "ldt" }, "corruptions"];
  const { jobs, selected } = await planOf(fixture, [await product(fixture, { suites })], {
    filter: ["ldt_far"],
  });
  const kernel = `${fixture.path}/bzImage`;
  assertEquals(jobs.map(({ name }) => name), selected);
  assertEquals(Object.fromEntries(jobs.map((job) => [job.name, command(job)])), {
    "bzImage/x86_64/plain/catalogue-ldt_far": [
      ...["run", "--arch", "x86_64", "--flavour", "plain", "--kernel", kernel, "--filter", "ldt_far"],
    ],
    "bzImage/x86_64/plain/fuzz-ldt-3x7": [
      ...["fuzz", "--arch", "x86_64", "--kernel", kernel, "--seed", "3", "--count", "7", "--ldt"],
    ],
    "bzImage/compat/plain/catalogue-ldt_far": [
      ...["run", "--arch", "compat", "--flavour", "plain", "--kernel", kernel, "--filter", "ldt_far"],
    ],
    "bzImage/compat/plain/fuzz-ldt-3x7": [
      ...["fuzz", "--arch", "compat", "--kernel", kernel, "--seed", "3", "--count", "7", "--ldt"],
    ],
    "corruptions": ["tests/corruption_test.ts"],
  });
  assertEquals(
    jobs[0]?.reproduce,
    `deno task nightly --matrix ${fixture.path}/m.json --filter ldt_far --only bzImage/x86_64/plain/catalogue-ldt_far`,
  );
});

Deno.test("a job's digest speaks of all that decides its outcome, and of nothing else", async () => {
  await using fixture = await NightlyFixture.make();
  const digest = async (change = {}, options = {}) =>
    (await planOf(fixture, [await product(fixture, change)], options)).jobs[0]!;
  const first = await digest();
  assertMatch(first.digest ?? "", /^[0-9a-f]{32}$/);
  assertEquals((await digest()).digest, first.digest);
  assertEquals((await digest({ deadline: "1h", suites: ["corruptions", "catalogue"] })).name, "corruptions");
  const filtered = await digest({}, { filter: ["ldt_far"] });
  assert(filtered.digests?.scenarios !== first.digests?.scenarios);
  const other = await digest({ platforms: ["compat"] });
  assertEquals(other.digests, first.digests);
  assert(other.digest !== first.digest);
  const jobs = [{ kernels: [{ file: "other" }], platforms: ["x86_64"], suites: ["catalogue"] }];
  await Deno.writeTextFile(`${fixture.path}/other`, "another kernel");
  assert((await planOf(fixture, jobs)).jobs[0]?.digests?.kernel !== first.digests?.kernel);
});

Deno.test("jobs that cannot be planned say why, by name, and the others are planned", async () => {
  await using fixture = await NightlyFixture.make();
  const { jobs } = await planOf(fixture, [
    { kernels: [{ file: "none" }, { directory: "." }], platforms: ["x86_64"], suites: ["catalogue"] },
    await product(fixture, { platforms: ["i386"], flavours: ["debug"] }),
    await product(fixture, { platforms: ["x86_64"], suites: ["faults", "mutants", "catalogue"] }),
    { kernels: [{ git: "none.git", ref: "v1" }], platforms: ["x86_64"], suites: ["catalogue"] },
  ]);
  const problems = Object.fromEntries(jobs.map(({ name, problem = "" }) => [name, problem.split("\n")[0]!]));
  const says = (name: string, text: string) => assertStringIncludes(problems[name] ?? "", text, name);
  says("none/x86_64/plain/catalogue", "none cannot be read");
  says("kernel/x86_64/plain/catalogue", "is no kernel source tree");
  says("bzImage/i386/debug/catalogue", "a ready kernel has the flavour plain, not debug");
  says("bzImage/x86_64/plain/faults", "plain kernels have no fault injection");
  says("bzImage/x86_64/plain/mutants", "mutants needs a kernel of Debian");
  says("v1/x86_64/plain/catalogue", "git ls-remote: ");
  assertEquals(problems["bzImage/x86_64/plain/catalogue"], "");
});

Deno.test("--only takes a part of a name, or a whole name alone", async () => {
  await using fixture = await NightlyFixture.make();
  const suites = ["catalogue", { suite: "catalogue", filter: ["ldt"] }];
  const names = async (...only: string[]) =>
    (await planOf(fixture, [await product(fixture, { suites })], { only })).selected;
  assertEquals(await names("compat"), [
    "bzImage/compat/plain/catalogue",
    "bzImage/compat/plain/catalogue-ldt",
  ]);
  assertEquals(await names("bzImage/compat/plain/catalogue"), ["bzImage/compat/plain/catalogue"]);
  await assertRejects(
    () => names("arm"),
    UsageError,
    "no job fits --only arm: bzImage/x86_64/plain/catalogue,",
  );
});

Deno.test("shards share the jobs of a plan, though the first records durations before the second is cut", async () => {
  await using fixture = await NightlyFixture.make();
  const platforms = ["x86_64", "i386", "i386-pae", "compat"];
  const part = async (index: number) =>
    await planOf(fixture, [await product(fixture, { platforms })], { shard: { index, of: 2 } });
  const first = await part(1);
  await fixture.run(
    Object.fromEntries(
      first.jobs.map(({ name }, index) => [name, { scenarios: { one: "pass" }, seconds: index / 10 }]),
    ),
  );
  const second = await part(2);
  assertEquals(first.jobs, second.jobs);
  assertEquals([...first.selected, ...second.selected].sort(), first.jobs.map(({ name }) => name).sort());
  assertEquals([first.selected.length, second.selected.length], [2, 2]);
});

Deno.test("a git source is fetched by branch, tag or commit, once, and the repository is left alone", async () => {
  await using fixture = await NightlyFixture.make();
  const repository = `${fixture.path}/linux`;
  const git = async (...args: string[]): Promise<string> => {
    const identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    const { code, lines } = await runCommand(["git", "-C", repository, ...identity, ...args]);
    assertEquals(code, 0, lines.join("\n"));
    return lines[0] ?? "";
  };
  await Deno.mkdir(repository);
  await git("init", "--quiet", "--initial-branch=main");
  await Deno.writeTextFile(`${repository}/Makefile`, "VERSION = 6\nPATCHLEVEL = 1\n");
  await git("add", "Makefile");
  await git("commit", "--quiet", "-m", "one");
  await git("tag", "-a", "v6.1", "-m", "a tag");
  const commit = await git("rev-parse", "HEAD");
  const cacheDir = `${fixture.path}/cache`;
  for (const ref of ["main", "v6.1", commit]) {
    const tree = await fetchGitTree({ repository, ref, cacheDir });
    assertEquals(tree, { commit, path: `${cacheDir}/git/${commit}` });
    assertStringIncludes(await Deno.readTextFile(`${tree.path}/Makefile`), "PATCHLEVEL");
  }
  assertEquals(await git("status", "--porcelain"), "");
  const none = () => fetchGitTree({ repository, ref: "none", cacheDir });
  await assertRejects(none, UsageError, "has no branch or tag none");
});

const WRONG: Scenario = {
  name: "wrong",
  about: "Wrong.",
  steps: [{ op: "mprotect", area: "none", pages: "all", prot: "r" }, { op: "stop", label: "x" }],
};
const GOOD: Scenario = { name: "minimal", about: "Good.", steps: [{ op: "stop", label: "x" }] };

function job(suiteKind: PlannedJob["suiteKind"], args: string[]): PlannedJob {
  return {
    ...{
      name: `${suiteKind} ${args.join(" ")}`,
      suiteKind,
      platform: "x86_64",
      kernel: "6.1",
      flavour: "plain",
    },
    ...{
      suite: suiteKind,
      deadlineSeconds: 1,
      reproduce: "",
      command: { kind: "ckptest", args, writesResults: true },
    },
  };
}

function check(jobs: readonly PlannedJob[], selected = jobs): Promise<void> {
  return checkScenarios({ jobs, selected: selected.map(({ name }) => name) }, [WRONG, GOOD]);
}

Deno.test("checkScenarios() compiles what each job will run, on its platform", async () => {
  const whole = job("catalogue", ["run"]);
  const message = "1 scenario cannot be compiled for x86_64:\n  wrong: $.steps[0] (mprotect)";
  await assertRejects(() => check([whole]), ExpectedError, message);
  const old = job("faults", ["faults", "--series", "5.10", "--filter", "wrong"]);
  await assertRejects(() => check([old]), ExpectedError, "1 scenario cannot be compiled for x86_64@5.10:");
});

Deno.test("checkScenarios() leaves out what no job runs", async () => {
  const wrong = job("catalogue", ["run"]);
  const others = [
    job("catalogue", ["run", "--filter", "minimal"]),
    job("faults", ["faults"]),
    job("fuzz", ["fuzz"]),
    job("corruptions", []),
  ];
  await check(others);
  await check([wrong, ...others], others);
});
