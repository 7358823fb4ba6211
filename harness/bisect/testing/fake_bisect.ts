// SPDX-License-Identifier: MIT
/**
 * A bisect over scripted changes, as a program that can be killed and run again:
 *
 *     fake_bisect.ts DIRECTORY CHANGES FIRST_BAD
 *
 * Each run is a shell that takes a tenth of a second. The third change does not build.
 *
 * @module
 */
import { fakeJob, fakeRunner, type FakeScript } from "../../nightly/testing/fake_jobs.ts";
import { Terminal } from "../../report/terminal.ts";
import { BisectDirectory, type SavedBisect } from "../bisect_directory.ts";
import { type BisectOutcome, runBisect, type RunBisectOptions } from "../run_bisect.ts";
import { scriptedLine } from "./scripted_history.ts";

/** How a scripted bisect differs from a plain one. */
export interface FakeBisectOptions extends Partial<RunBisectOptions> {
  readonly path: string;
  readonly changes: number;
  readonly firstBad: number;
  /** By number of the change, what is not plain pass and fail. */
  readonly script?: FakeScript;
  readonly seconds?: number;
}

/** Begins or resumes a bisect of scripted changes. */
export async function fakeBisect(options: FakeBisectOptions): Promise<BisectOutcome | string> {
  const { path, changes, firstBad, script = {}, seconds = 0.02, ...rest } = options;
  const directory = new BisectDirectory(path);
  const history = scriptedLine(changes);
  const saved: SavedBisect = await directory.read() ?? {
    started: "2026-01-01T00:00:00.000Z",
    request: {
      source: { kind: "patches", directory: "patches", base: { kind: "debian", series: "6.1" } },
      ...{ platform: "x86_64", flavour: "plain", suite: { kind: "catalogue", filter: [] } },
      ...{ confidence: 0.99, maxRuns: 30, deadlineSeconds: 60 },
    },
    ...{ good: "0", bad: String(changes), runs: [] },
  };
  await directory.write(saved);
  const jobs: FakeScript = Object.fromEntries(
    history.changes.map(({ id, name }) => {
      const status = Number(id) >= firstBad ? "fail" : "pass";
      return [
        `${name}/x86_64/plain/catalogue`,
        script[id] ?? { scenarios: { one: status }, seconds, build: 0 },
      ];
    }),
  );
  return await runBisect({
    ...{ saved, history, directory, terminal: new Terminal(), signal: new AbortController().signal },
    tree: { path: "tree", moveTo: () => Promise.resolve() },
    plan: ({ name }) => fakeJob(`${name}/x86_64/plain/catalogue`, jobs[`${name}/x86_64/plain/catalogue`]!),
    runner: fakeRunner(jobs),
    ...rest,
  });
}

if (import.meta.main) {
  const [path = "", changes, firstBad] = Deno.args;
  const script: FakeScript = { "3": { scenarios: { one: "pass" }, build: 3 } };
  const plain = { path, changes: Number(changes), firstBad: Number(firstBad), seconds: 0.1 };
  const outcome = await fakeBisect({ ...plain, script });
  console.log(typeof outcome === "string" ? outcome : outcome.result.status);
}
