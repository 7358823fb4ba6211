// SPDX-License-Identifier: MIT

import type { NightlyResult } from "../nightly_result.ts";
import type { Terminal } from "../../report/terminal.ts";
import { History } from "../history/history.ts";
import { runNightly, type RunNightlyOptions } from "../run/run_nightly.ts";
import { fakePlan, fakeRunner, type FakeScript } from "./fake_jobs.ts";

/** How {@linkcode NightlyFixture.run} differs from a plain one. */
interface FixtureRunOptions extends Partial<RunNightlyOptions> {
  /** Directory below that of the fixture. */
  readonly name?: string;
  /** Options of {@linkcode fakePlan}. */
  readonly planned?: Parameters<typeof fakePlan>[1];
}

/** A directory with a history, for nightly runs of scripted jobs. */
export class NightlyFixture implements AsyncDisposable {
  readonly path: string;
  /** What was printed. */
  readonly lines: string[] = [];
  readonly terminal: Terminal;
  #runs = 0;

  /** Use {@linkcode NightlyFixture.make}. */
  constructor(path: string) {
    this.path = path;
    this.terminal = {
      result: (line: string) => void this.lines.push(...line.split("\n")),
      note: () => {},
      status: () => {},
      clearStatus: () => {},
      style: (text: string) => text,
    } as unknown as Terminal;
  }

  static async make(): Promise<NightlyFixture> {
    return new NightlyFixture(await Deno.makeTempDir({ prefix: "ckptest-nightly-" }));
  }

  get historyPath(): string {
    return `${this.path}/history.sqlite`;
  }

  /** Carries out a run; each is a day after the one before. */
  async run(script: FakeScript, changes: FixtureRunOptions = {}): Promise<NightlyResult> {
    const { name = `run${this.#runs}`, planned, ...rest } = changes;
    const started = new Date(Date.UTC(2026, 0, 1 + this.#runs++)).toISOString();
    using history = await History.open(this.historyPath);
    return await runNightly({
      plan: await fakePlan(script, { started, id: name, ...planned }),
      directory: `${this.path}/${name}`,
      ...{ history, terminal: this.terminal, runner: fakeRunner(script), slots: 2, resume: false },
      ...{ durations: new Map(), signal: new AbortController().signal },
      ...rest,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A result without what differs from run to run: times, names of runs and places. */
export function steadyPart({ run, jobs, counts, scenarios, changes }: NightlyResult): unknown {
  return {
    ...{ counts, scenarios, complete: run.complete, matrix: run.matrix },
    jobs: jobs.map(({ reused: _reused, ...job }) => withoutTimes(job)),
    changes: changes.map(({ kind, job, scenario }) => ({ kind, job, scenario })),
  };
}

/** Fields that hold durations and points in time. */
const TIMES = new Set(["seconds", "milliseconds", "started", "boots"]);

/** A JSON value without durations and points in time, at any depth. */
function withoutTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTimes);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !TIMES.has(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutTimes(inner)]));
}
