// SPDX-License-Identifier: MIT
/**
 * A nightly run on a real Slurm cluster of this machine alone, with real guests: as an array of shards that are killed,
 * warned and cancelled, and the merge after them.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { cp } from "node:fs/promises";
import { fromFileUrl, join } from "@std/path";
import { mergedScenarios } from "../../harness/nightly/history/history.ts";
import type { NightlyResult } from "../../harness/nightly/nightly_result.ts";
import { denoDirectory } from "../project_copy.ts";
import { SlurmCluster } from "./slurm_cluster.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const SHARDS = 2;
/** Seconds until all of a nightly run ended; a node that is gone is noticed after half a minute. */
const RUN_SECONDS = 300;
const LACKS = await SlurmCluster.lacks();
const ENDED = new Set(["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"]);

/** Six jobs of a few seconds each, and one that cannot be planned: a failure ends no shard. */
const MATRIX = {
  deadline: "10min",
  jobs: [
    {
      kernels: [{ debian: "6.1" }],
      platforms: ["x86_64", "i386", "compat"],
      suites: [
        { suite: "catalogue", filter: ["ldt_far", "pages_5000", "minimal"] },
        { suite: "fuzz", count: 8, seed: 1 },
      ],
    },
    { kernels: [{ file: "absent/bzImage" }], platforms: ["x86_64"], suites: ["catalogue"] },
  ],
};
const PASSED = 6;

/** What a command came to. */
interface Said {
  readonly code: number;
  readonly text: string;
}

/** A cluster, a matrix, and a directory for nightly runs. */
class SlurmFixture implements AsyncDisposable {
  readonly path: string;
  readonly cluster: SlurmCluster;

  constructor(path: string, cluster: SlurmCluster) {
    this.path = path;
    this.cluster = cluster;
  }

  static async make(): Promise<SlurmFixture> {
    const path = await Deno.makeTempDir({ prefix: "ckptest-slurm-" });
    try {
      // Below a temporary directory's mode munge takes no socket.
      await Deno.chmod(path, 0o755);
      await Deno.mkdir(join(path, "tmp"));
      await Deno.writeTextFile(join(path, "matrix.json"), JSON.stringify(MATRIX));
      return new SlurmFixture(path, await SlurmCluster.start(path));
    } catch (error) {
      await Deno.remove(path, { recursive: true });
      throw error;
    }
  }

  async ckptest(...args: string[]): Promise<Said> {
    const main = join(ROOT, "harness", "cli", "main.ts");
    const { code, stdout, stderr } = await new Deno.Command("deno", {
      args: ["run", "-q", `--config=${join(ROOT, "deno.json")}`, "-P=vm", main, ...args],
      cwd: this.path,
      env: { ...this.cluster.env, NO_COLOR: "1", TMPDIR: join(this.path, "tmp"), DENO_DIR: denoDirectory() },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
  }

  /** Queues the run; gives the numbers of array and merge. */
  async submit(...options: string[]): Promise<{ array: string; merge: string }> {
    const { code, text } = await this.ckptest(
      ...["slurm", "--shards", String(SHARDS), "--out", "out", "--matrix", "matrix.json"],
      ...["--history", "history.sqlite", "--sbatch=--partition=long", ...options],
    );
    assertEquals(code, 0, text);
    const [, array = "", merge = ""] = /job (\d+),[^]*job (\d+),/.exec(text) ?? [];
    return { array, merge };
  }

  /** Waits until a shard has a finished job, and others still to do. */
  async midRun(shard: number): Promise<void> {
    const directory = this.shard(shard);
    await this.cluster.until(`shard ${shard} has a finished job`, RUN_SECONDS, async () => {
      const partial = await names(join(directory, "partial"));
      return partial.length > 0 && await exists(join(directory, "jobs", "6.1"));
    });
    assert(!await exists(join(directory, "nightly.json")), "it is in mid-run");
  }

  async ended(job: string): Promise<void> {
    const isOver = async (): Promise<boolean> => ENDED.has((await this.cluster.job(job)).state);
    await this.cluster.until(`job ${job} has ended`, RUN_SECONDS, isOver);
  }

  shard(index: number): string {
    return join(this.path, "out", "shards", String(index));
  }

  log(name: string): Promise<string> {
    return Deno.readTextFile(join(this.path, "out", "logs", `${name}.log`));
  }

  async result(directory: string): Promise<NightlyResult> {
    return JSON.parse(await Deno.readTextFile(join(this.path, directory, "nightly.json")));
  }

  /** The same run on one machine, undisturbed. */
  async undisturbed(): Promise<NightlyResult> {
    const { code, text } = await this.ckptest(
      ...["nightly", "--matrix", "matrix.json", "--out", "one", "--history", "one.sqlite", "--keep-all"],
    );
    assertEquals(code, 1, text);
    return await this.result("one");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
    await Deno.remove(this.path, { recursive: true });
  }
}

/** All of a result but durations, names of runs and places. */
function steadyPart({ run, jobs, counts, scenarios, changes }: NightlyResult): unknown {
  return {
    ...{ counts, scenarios, complete: run.complete, matrix: run.matrix.digest },
    jobs: jobs.map((job) => ({
      ...{ name: job.name, status: job.status, digest: job.digest, reason: job.reason },
      failure: job.failure?.kind,
      scenarios: mergedScenarios(job).map(({ scenario, status, findings }) => ({
        scenario,
        status,
        findings,
      })),
    })),
    changes: changes.map(({ kind, job, scenario }) => ({ kind, job, scenario })),
  };
}

async function names(directory: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) found.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found;
}

function slurmTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: LACKS === undefined ? name : `${name} (${LACKS})`, ignore: LACKS !== undefined, fn });
}

slurmTest(
  "Slurm: a nightly run whose node is killed in mid-run is that of one undisturbed machine",
  async () => {
    await using fixture = await SlurmFixture.make();
    const { cluster } = fixture;
    const expected = await fixture.undisturbed();
    assertEquals(expected.counts, { passed: PASSED, failed: 1, missing: 0 });
    const { array, merge } = await fixture.submit("--shard-sbatch=--exclusive");
    await fixture.midRun(1);
    const killed = /on (n\d), start 1/.exec(await fixture.log("shard-1"))?.[1] ?? "";
    await cluster.killNode(killed);
    await cp(fixture.shard(1), join(fixture.path, "partial"), { recursive: true });
    await cluster.until("the shard is queued again", RUN_SECONDS, async () => {
      return (await cluster.job(`${array}_1`)).restarts === 1;
    });
    cluster.startNode(killed);
    await fixture.ended(merge);

    // A job that failed is no failure of the shard, but of the run.
    for (const task of [1, 2]) assertEquals((await cluster.job(`${array}_${task}`)).exitCode, "0:0");
    assertEquals((await cluster.job(merge)).exitCode, "1:0");
    assertEquals(steadyPart(await fixture.result("out/merged")), steadyPart(expected));
    assertMatch(await Deno.readTextFile(join(fixture.path, "out/merged/report.html")), /<html/);
    const log = await fixture.log("shard-1");
    assertMatch(log, /, start 1\n[^]*, start 2\n[^]*[1-3] of [34] jobs are finished/);
    assert(
      (await fixture.result("out/shards/1")).jobs.some(({ reused }) => reused),
      "what was finished is kept",
    );
    await mergeOtherwise(fixture, expected);
  },
);

/** What merge makes of these shards when some are absent, doubled, or as the killed node left them. */
async function mergeOtherwise(fixture: SlurmFixture, expected: NightlyResult): Promise<void> {
  const merge = async (out: string, ...parts: string[]): Promise<NightlyResult & { code: number }> => {
    const history = ["--history", `${out}.sqlite`, "--out", out];
    const { code, text } = await fixture.ckptest("merge", ...history, ...parts);
    assert(code === 0 || code === 1, text);
    return { code, ...await fixture.result(out) };
  };
  const second = "out/shards/2";
  const of2 = (await fixture.result(second)).jobs.length;
  const total = PASSED + 1;

  const missing = await merge("missing", second);
  assertEquals([missing.code, missing.counts.missing, missing.run.complete], [1, total - of2, false]);
  const reasons = missing.jobs.filter(({ status }) => status === "missing").map(({ reason }) => reason);
  assertEquals(new Set(reasons), new Set(["of shard 1/2, which is not here"]));

  const partial = await merge("cut", "partial", second);
  assert(partial.counts.missing > 0 && partial.counts.missing < total - of2, "one job of it was finished");
  for (const { status, reason } of partial.jobs) {
    if (status === "missing") assertStringIncludes(reason!, "/partial has not finished it");
  }

  const doubled = await merge("doubled", "partial", "out/shards/1", second, "one");
  assertEquals(steadyPart(doubled), steadyPart(expected));

  const job = doubled.jobs.find(({ status }) => status === "pass");
  const file = join(fixture.path, "one", "jobs", job!.name, "job.json");
  const altered = {
    ...JSON.parse(await Deno.readTextFile(file)),
    status: "fail",
    failure: { kind: "test", logTail: [] },
  };
  await Deno.writeTextFile(file, JSON.stringify(altered));
  const conflict = await merge("conflict", "one", "out/shards/1", second);
  assertEquals(conflict.jobs.find(({ name }) => name === job!.name)?.failure?.kind, "merge conflict");
}

slurmTest(
  "Slurm: a shard that nears its time limit goes on after it, a cancelled one when asked to",
  async () => {
    await using fixture = await SlurmFixture.make();
    const { cluster } = fixture;
    const first = await fixture.submit("--shard-sbatch=--exclusive");
    await fixture.midRun(1);
    // As Slurm does ahead of the limit: to the shell of the job alone.
    await cluster.run("scancel", "--batch", "--signal=USR1", `${first.array}_1`);
    await cluster.until("the shard is queued again", RUN_SECONDS, async () => {
      return (await cluster.job(`${first.array}_1`)).restarts === 1;
    });
    assertMatch(await fixture.log("shard-1"), /SIGTERM: ending what runs; what is finished is kept/);
    const cut = (await fixture.result("out/shards/1")).jobs;
    assert(cut.some(({ status }) => status === "missing"));
    await cluster.until("the shard runs again", RUN_SECONDS, async () => {
      return (await fixture.log("shard-1")).includes(", start 2\n");
    });
    await fixture.midRun(1);
    // As with preemption and at the limit itself: every process of the job gets SIGTERM.
    await cluster.run("scancel", first.array);
    await fixture.ended(first.merge);
    const stopped = await fixture.result("out/merged");
    assert(stopped.counts.missing > 0 && !stopped.run.complete);
    const kinds = stopped.jobs.flatMap(({ failure }) => failure?.kind ?? []);
    assert(kinds.every((kind) => kind === "plan"), `what was cut short is no failure: ${kinds.join(", ")}`);

    const again = ["slurm", "--out", "out", "--matrix", "matrix.json", "--history", "history.sqlite"];
    const refused = await fixture.ckptest(...again, "--shards", "2");
    assertStringIncludes(refused.text, "holds a nightly run: go on with it (--resume)");
    const other = await fixture.ckptest(...again, "--shards", "3", "--resume");
    assertEquals(other.code, 2);
    assertMatch(
      other.text,
      /to resume takes the same shards and jobs: expected .*"shards": 2.* found .*"shards": 3/,
    );

    const second = await fixture.submit("--resume");
    await fixture.ended(second.merge);
    const result = await fixture.result("out/merged");
    assertEquals(result.counts, { passed: PASSED, failed: 1, missing: 0 });
    assertEquals(await names(join(fixture.path, "tmp")), [], "no temporary file is left");
  },
);
