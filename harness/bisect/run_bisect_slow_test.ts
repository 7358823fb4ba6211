// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { fromFileUrl, join } from "@std/path";
import type { Terminal } from "../report/terminal.ts";
import type { JobRunner } from "../nightly/run/judge_job.ts";
import { type BisectAnswer, type BisectState, readBisectState } from "./bisect_state.ts";
import { exitStatusOfBisect } from "./run_outcome.ts";
import {
  fakeBisect,
  type FakeBisectOptions,
  type FakeKernel,
  fakeKernelRunner,
  FINDING,
  plainKernel,
} from "./testing/fake_bisect.ts";
import { GitFixture } from "./testing/git_fixture.ts";

const PROGRAM = fromFileUrl(new URL("./testing/fake_bisect.ts", import.meta.url));
const CONFIG = fromFileUrl(new URL("../../deno.json", import.meta.url));

/** How a bisect ended. */
interface Ended {
  readonly answer: BisectAnswer;
  readonly status: number;
  /** Titles of the first bad changes. */
  readonly titles: readonly string[];
  /** How often each change ran, by its number, in the order of the first run. */
  readonly runs: ReadonlyMap<number, number>;
  readonly state: BisectState;
}

/** A repository with a commit for each state of its file `state`, the good end first. */
class Bisects implements AsyncDisposable {
  readonly fixture: GitFixture;
  readonly commits: string[] = [];
  readonly lines: string[] = [];
  readonly terminal: Terminal;
  #bisects = 0;

  constructor(fixture: GitFixture) {
    this.fixture = fixture;
    this.terminal = {
      result: (text: string) => void this.lines.push(...text.split("\n")),
      note: () => {},
      status: () => {},
      clearStatus: () => {},
      style: (text: string) => text,
    } as unknown as Terminal;
  }

  static async make(states: readonly string[]): Promise<Bisects> {
    const bisects = new Bisects(await GitFixture.make());
    bisects.commits.push(
      ...await bisects.fixture.commits(states.map((state, index) => ({
        title: `change ${index}`,
        files: { state, index: String(index) },
      }))),
    );
    return bisects;
  }

  get options(): FakeBisectOptions {
    return {
      ...{ repository: this.fixture.work, good: this.commits[0]!, bad: this.commits.at(-1)! },
      ...{ path: join(this.fixture.path, "bisect"), cacheDir: join(this.fixture.path, "cache") },
      terminal: this.terminal,
    };
  }

  /** Runs a bisect to its end in a directory of its own, or goes on with one. */
  async end(changes: Partial<FakeBisectOptions> = {}): Promise<Ended> {
    const path = join(this.fixture.path, `bisect${this.#bisects++}`);
    const answer = await fakeBisect({ ...this.options, path, ...changes });
    const titles = answer.firstBad.map(({ title }) => title);
    const state = (await readBisectState(changes.path ?? path))!;
    const runs = new Map<number, number>();
    for (const { change } of state.runs) {
      const number = this.commits.indexOf(change);
      runs.set(number, (runs.get(number) ?? 0) + 1);
    }
    return { answer, titles, status: exitStatusOfBisect(answer), runs, state };
  }

  get text(): string {
    return this.lines.join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fixture[Symbol.asyncDispose]();
  }
}

/** So many that pass, then so many that fail. */
function line(passing: number, failing: number): string[] {
  return [...Array(passing).fill("pass"), ...Array(failing).fill("fail")];
}

/** What is the same in each bisect over the same changes. */
function steadyPart({ answer, runs }: BisectState): unknown {
  return {
    answer,
    runs: runs.map(({ change, failures, passed, skip }) => ({ change, failures, passed, skip })),
  };
}

Deno.test("a bisect names the first bad change, how sure that is, and how to see it", async () => {
  await using bisects = await Bisects.make(line(6, 3));
  const before = await bisects.fixture.git("for-each-ref");
  const { status, titles, runs, answer, state } = await bisects.end();
  assertEquals([status, titles], [0, ["change 6"]]);
  assertEquals([...runs.keys()], [8, 0, 4, 6, 5]);
  assert(answer.confidence >= 0.99);
  assertEquals(state.answer, JSON.parse(JSON.stringify(answer)));
  for (
    const expected of [
      `first bad change: ${bisects.commits[6]}`,
      "  title:   change 6",
      "  author:  Ada Byron <ada@example.org>",
      `  show it: git -C ${bisects.fixture.work} show ${bisects.commits[6]}`,
    ]
  ) assert(bisects.lines.includes(expected), bisects.text);
  assertMatch(bisects.text, /^confidence: 99\.\d+ % \(asked for: 99\.0 %\)$/m);
  assertMatch(bisects.text, /^ {2}bad {8}[0-9a-f]{12} {2}change 6 .*1 of 1 runs failed$/m);
  const files = /failing run: (.+)$/m.exec(bisects.text)?.[1] ?? "";
  assert(await exists(`${files}/results.json`), files);
  // What git knows of it is its own log, and no reference of the user's is new.
  const log = await Deno.readTextFile(join(bisects.fixture.path, "bisect0", "bisect.log"));
  assertMatch(log, /^# first bad commit: \[\w+\] change 6$/m);
  assertEquals(await bisects.fixture.git("for-each-ref"), before);
});

Deno.test("a change that does not build is passed over, and may be the first bad one", async () => {
  await using bisects = await Bisects.make([...line(4, 0), "unbuilt", ...line(0, 4)]);
  const { status, titles } = await bisects.end();
  assertEquals([status, titles], [1, ["change 4", "change 5"]]);
  assertStringIncludes(bisects.text, "first bad change: one of these 2; the others were skipped");
  assertMatch(bisects.text, /skipped .*change 4 .*does not build: no rule to make it/);
});

Deno.test("an end that does not build or run, or is not what was said of it, is refused", async () => {
  await using bisects = await Bisects.make(["pass", "pass", "fail", "fail", "skip", "unbuilt"]);
  const refuse = async (good: number, bad: number) => {
    const ends = { good: bisects.commits[good]!, bad: bisects.commits[bad]! };
    const { status, titles, answer } = await bisects.end(ends);
    assertEquals(titles, []);
    return `${status}: ${answer.problem?.text.replace(/^\w+ /, "")}`;
  };
  assertEquals(await refuse(0, 5), "3: does not build: no rule to make it");
  assertMatch(await refuse(0, 4), /^5: one was skipped/);
  assertEquals(await refuse(0, 1), "2: is not bad: it passed 10 of 10 runs");
  assertMatch(await refuse(2, 3), /^2: is not good: one fails there, too/);
});

Deno.test("a change that fails in another way is skipped", async () => {
  await using bisects = await Bisects.make(["pass", "other", "fail"]);
  const other = { status: "fail", findings: [{ ...FINDING, id: "E_OTHER" }] } as const;
  const kernel: FakeKernel = (state) => state === "other" ? other : plainKernel(state);
  assertEquals((await bisects.end({ kernel })).titles, ["change 1", "change 2"]);
  assertMatch(bisects.text, /skipped .*change 1 .*fails in another way: mismatch E_OTHER/);
});

Deno.test("of a failure that comes and goes a change is run until it is sure", async () => {
  await using bisects = await Bisects.make(["pass", "pass", "fail", "end"]);
  // The bad end fails in every second run, the others in every third one.
  const kernel: FakeKernel = (state, nth) => {
    const fails = state === "end" ? nth % 2 === 1 : state === "fail" && nth % 3 === 2;
    return plainKernel(fails ? "fail" : "pass");
  };
  const sum = (runs: ReadonlyMap<number, number>): number => [...runs.values()].reduce((a, b) => a + b);
  const { titles, answer, runs } = await bisects.end({ kernel });
  assertEquals(titles, ["change 2"]);
  assert(answer.confidence >= 0.99 && answer.rate.failed < answer.rate.runs, JSON.stringify(answer));
  assertEquals([runs.get(3), runs.get(2)], [8, 3]);
  assert(runs.get(1)! > 5, JSON.stringify([...runs]));
  assert(sum((await bisects.end({ kernel, request: { confidence: 0.6 } })).runs) < sum(runs));
});

Deno.test("a change that was taken to be good and then fails is taken back, with what was made on it", async () => {
  await using bisects = await Bisects.make(["pass", "pass", "late", "late", "late", "fail"]);
  // Twice as often as a failure asks for that showed each time so far.
  const kernel: FakeKernel = (state, nth) =>
    plainKernel(state === "late" ? (nth < 6 ? "pass" : "fail") : state);
  const { titles, runs } = await bisects.end({ kernel, request: { confidence: 0.9999 } });
  assertEquals(titles, ["change 2"]);
  assertEquals(Math.max(...[2, 3, 4].map((id) => runs.get(id) ?? 0)), 7, JSON.stringify([...runs]));
});

Deno.test("stopped anywhere, a bisect goes on where it was and ends as an undisturbed one", async () => {
  await using bisects = await Bisects.make(line(3, 3));
  const { state: expected } = await bisects.end();
  const runs = expected.runs.length;
  for (const [stopAfter, how] of [[2, "throw"], [5, "abort"], [runs - 1, "throw"]] as const) {
    const path = join(bisects.fixture.path, `stopped-${stopAfter}`);
    const controller = new AbortController();
    const kernels = fakeKernelRunner();
    let ran = 0;
    const runner: JobRunner = {
      ...kernels,
      run: async (job, place) => {
        if (ran++ === stopAfter && how === "throw") throw new Error("killed");
        if (ran > stopAfter) controller.abort("interrupted by SIGINT");
        return await kernels.run(job, place);
      },
    };
    const options = { ...bisects.options, path, runner, signal: controller.signal };
    const said = await fakeBisect(options).catch((error: Error) => error.message);
    assertEquals(said, how === "throw" ? "killed" : "interrupted by SIGINT");
    // What the runs gave is enough, and so it is when the tree is there.
    if (how === "abort") await Deno.remove(bisects.options.cacheDir, { recursive: true });
    const { state } = await bisects.end({ path });
    assertEquals(steadyPart(state), steadyPart(expected), `after ${stopAfter} runs`);
    assertEquals(state.runs.length, runs, "finished runs are not run again");
  }
});

Deno.test("killed, a bisect leaves no git behind that goes on, and can be resumed", async () => {
  await using bisects = await Bisects.make(line(3, 3));
  const { repository, good, bad, path, cacheDir } = bisects.options;
  const child = new Deno.Command("deno", {
    args: ["run", "-q", `--config=${CONFIG}`, "-P=test", PROGRAM, repository, good, bad, path, cacheDir],
    env: { NO_COLOR: "1", TMPDIR: bisects.fixture.path },
    ...{ stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  while (!await exists(join(path, "bisect.log"))) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGKILL");
  await child.status;
  const { state } = await bisects.end({ path });
  assertEquals(state.answer?.firstBad.map(({ title }) => title), ["change 3"]);
  assertEquals(steadyPart(state), steadyPart((await bisects.end()).state));
});
