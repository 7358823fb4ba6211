// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { exists, walk } from "@std/fs";
import { steadyPart } from "../../harness/nightly/testing/nightly_fixture.ts";
import { RealNightlyRuns } from "./real_nightly.ts";

const KILLS = 10;
/** How far a part may get, of a whole run: so that most kills find jobs that are done, and jobs that are not. */
const REACH = 0.5;
const JOBS = [{
  kernels: [{ debian: "6.1" }],
  platforms: ["x86_64", "i386", "compat"],
  suites: [
    { suite: "catalogue", filter: ["minimal", "anon_"] },
    { suite: "catalogue", filter: ["ldt_one", "brk_"] },
    { suite: "catalogue", filter: ["fork_c"] },
    { suite: "fuzz", count: 20, seed: 1 },
  ],
}];

Deno.test("killed ten times and resumed, a nightly run of real jobs ends as an undisturbed one", async () => {
  await using runs = await RealNightlyRuns.make(JOBS);
  // Whatever has to be built is built here.
  await runs.finish("warm-up");
  const begin = performance.now();
  const expected = await runs.finish("undisturbed");
  const whole = performance.now() - begin;
  assertEquals(expected.result.counts, { passed: 12, failed: 0, missing: 0 }, expected.stdout);

  const moments: string[] = [];
  for (let kills = 0; kills < KILLS;) {
    const child = await runs.start("killed");
    const moment = Math.random() * whole * REACH;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, moment);
    const ended = child.output().then(() => "ended" as const);
    const first = await Promise.race([ended, promise]);
    clearTimeout(timer);
    if (first === "ended") continue;
    assert((await runs.processes()).length > 0, "the run can be seen");
    child.kill("SIGKILL");
    await ended;
    kills++;
    moments.push(`${(moment / 1000).toFixed(1)} s, ${await finishedJobs(runs.pathOf("killed"))} jobs done`);
    await nobodyLeft(runs);
  }
  const message = `killed after ${moments.join("; ")}`;
  console.log(`undisturbed ${(whole / 1000).toFixed(1)} s; ${message}`);
  const resumed = await runs.finish("killed");
  assertEquals(resumed.code, expected.code, resumed.stdout + resumed.stderr);
  assertEquals(steadyPart(resumed.result), steadyPart(expected.result), message);
  await nobodyLeft(runs);
  assertEquals(
    await filesBelow(`${runs.pathOf("killed")}/jobs`),
    await filesBelow(`${runs.pathOf("undisturbed")}/jobs`),
  );
  assertEquals((await filesBelow(runs.pathOf("killed"))).filter((path) => /partial/.test(path)), []);

  // What a killed run has left in the place for temporary files goes when it is a minute old.
  for await (const { name } of Deno.readDir(runs.temp)) {
    const old = new Date(Date.now() - 120_000);
    await Deno.utime(`${runs.temp}/${name}`, old, old);
  }
  await runs.finish("killed");
  assertEquals(await filesBelow(runs.temp), []);
});

/** Whatever dies with its parent needs a moment for it. */
async function nobodyLeft(runs: RealNightlyRuns): Promise<void> {
  let left: string[] = [];
  for (let tries = 0; tries < 30; tries++) {
    left = await runs.processes();
    if (left.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assertEquals(left, [], "no process outlives the run by 3 s");
}

async function finishedJobs(directory: string): Promise<number> {
  return (await filesBelow(directory)).filter((path) => /^jobs\/.*\/job\.json$/.test(path)).length;
}

async function filesBelow(directory: string): Promise<string[]> {
  if (!await exists(directory)) return [];
  const files: string[] = [];
  for await (const { path } of walk(directory, { includeDirs: false })) {
    files.push(path.slice(directory.length + 1));
  }
  return files.sort();
}
