// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { exists, walk } from "@std/fs";
import { fromFileUrl } from "@std/path";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { DatabaseSync } from "node:sqlite";
import type { NightlyResult } from "../nightly_result.ts";
import type { FakeScript } from "../testing/fake_jobs.ts";
import { NightlyFixture, steadyPart } from "../testing/nightly_fixture.ts";

const PROGRAM = fromFileUrl(new URL("../testing/fake_nightly.ts", import.meta.url));
const CONFIG = fromFileUrl(new URL("../../../deno.json", import.meta.url));
const KILLS = 4;
const JOBS = 16;

/** Jobs of many kinds. */
const SCRIPT: FakeScript = Object.fromEntries(
  Array.from({ length: JOBS }, (_, index) => [
    `${index % 3}/x86_64/plain/suite${index}`,
    {
      seconds: 0.1,
      build: index % 3 === 2 ? 3 : 0,
      scenarios: { one: "pass", two: index % 7 === 0 ? "fail" : "pass" },
    },
  ]),
);

interface Place {
  readonly fixture: NightlyFixture;
  readonly name: string;
}

function start({ fixture, name }: Place, tmp: string): Deno.ChildProcess {
  const paths = [`${fixture.path}/${name}`, `${fixture.path}/${name}.sqlite`];
  return new Deno.Command("deno", {
    args: ["run", "-q", `--config=${CONFIG}`, "-P=test", PROGRAM, ...paths, JSON.stringify(SCRIPT)],
    env: { TMPDIR: tmp, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function finish(
  place: Place,
  tmp: string,
): Promise<{ code: number; result: NightlyResult; text: string }> {
  const { code, stdout, stderr } = await start(place, tmp).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout) + decoder.decode(stderr);
  const json = await Deno.readTextFile(`${place.fixture.path}/${place.name}/nightly.json`).catch(() => text);
  return { code, result: JSON.parse(json), text };
}

/** What the history says of the run, without times. */
function historyOf({ fixture, name }: Place): unknown {
  using db = new DatabaseSync(`${fixture.path}/${name}.sqlite`);
  const runs = db.prepare("SELECT count(*) AS runs, sum(complete) AS complete FROM runs").get();
  const jobs = db.prepare("SELECT name, status, failure, reason, digest FROM jobs ORDER BY name").all();
  const scenarios = db.prepare("SELECT job, scenario, status FROM scenarios ORDER BY job, scenario").all();
  return { runs, jobs, scenarios, sound: db.prepare("PRAGMA integrity_check").get() };
}

Deno.test("killed at random moments and resumed, a nightly run ends as an undisturbed one", async () => {
  await using fixture = await NightlyFixture.make();
  const tmp = `${fixture.path}/tmp`;
  await Deno.mkdir(tmp);
  const undisturbed = { fixture, name: "undisturbed" };
  const killed = { fixture, name: "killed" };
  const begin = performance.now();
  const expected = await finish(undisturbed, tmp);
  const whole = performance.now() - begin;
  assertEquals(expected.code, 1, expected.text);
  assertEquals(expected.result.counts.passed + expected.result.counts.failed, JOBS);
  const moments: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const child = start(killed, tmp);
    const moment = Math.random() * whole;
    moments.push(moment.toFixed(0));
    await new Promise((resolve) => setTimeout(resolve, moment));
    try {
      child.kill("SIGKILL");
    } catch {
      // It was at its end.
    }
    await child.output();
    assert(!await halfWritten(`${fixture.path}/killed`), "what bears the name of a job is whole");
  }
  const resumed = await finish(killed, tmp);
  assertEquals(resumed.code, expected.code, resumed.text);
  const message = `killed after ${moments.join(", ")} ms`;
  assertEquals(steadyPart(resumed.result), steadyPart(expected.result), message);
  assertEquals(historyOf(killed), historyOf(undisturbed), message);
  assert(!await exists(`${fixture.path}/killed/partial`) || await isEmpty(`${fixture.path}/killed/partial`));
});

Deno.test("Ctrl-C lets a nightly run end in good order: status, message, no temporary file", async () => {
  await using fixture = await NightlyFixture.make();
  const tmp = `${fixture.path}/tmp`;
  await Deno.mkdir(tmp);
  const place = { fixture, name: "one" };
  const child = start(place, tmp);
  while (!await exists(`${fixture.path}/one/jobs`)) await new Promise((resolve) => setTimeout(resolve, 10));
  child.kill("SIGINT");
  const { code, stdout } = await child.output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(code, EXIT_STATUS.interrupted, text);
  assert(
    /stopped: interrupted by SIGINT\ngo on with: the same\n/.test(text),
    text,
  );
  assert(/^\d+ passed, \d+ failed, \d+ missing\n$/m.test(text), text);
  assert(await isEmpty(tmp), "no temporary file is left");
  const { result } = await finish(place, tmp);
  assertEquals(result.counts.missing, 0);
  assert(result.jobs.some(({ reused }) => reused));
});

/** Whether there is a job with its name but without all of its files. */
async function halfWritten(directory: string): Promise<boolean> {
  if (!await exists(`${directory}/jobs`)) return false;
  for await (const { path, isDirectory } of walk(`${directory}/jobs`)) {
    if (!isDirectory || !/suite\d+$/.test(path)) continue;
    if (!await exists(`${path}/job.json`)) return true;
    JSON.parse(await Deno.readTextFile(`${path}/job.json`));
  }
  return false;
}

async function isEmpty(directory: string): Promise<boolean> {
  for await (const _ of Deno.readDir(directory)) return false;
  return true;
}
