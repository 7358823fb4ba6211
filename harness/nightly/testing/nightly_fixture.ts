// SPDX-License-Identifier: MIT

import type { NightlyResult } from "../nightly_result.ts";
import type { Terminal } from "../../report/terminal.ts";
import { History } from "../history/history.ts";
import { runNight, type RunNightOptions } from "../run/run_nightly.ts";
import { fakePlan, fakeRunner, type FakeScript } from "./fake_jobs.ts";

/** How {@linkcode NightFixture.night} differs from a plain night. */
export interface NightChanges extends Partial<RunNightOptions> {
  /** Directory below that of the fixture. */
  readonly name?: string;
  /** Options of {@linkcode fakePlan}. */
  readonly planned?: Parameters<typeof fakePlan>[1];
}

/** A directory with a history, for nights of scripted jobs. */
export class NightFixture implements AsyncDisposable {
  readonly path: string;
  /** What was printed. */
  readonly lines: string[] = [];
  readonly terminal: Terminal;
  #nights = 0;

  /** Use {@linkcode NightFixture.make}. */
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

  static async make(): Promise<NightFixture> {
    return new NightFixture(await Deno.makeTempDir({ prefix: "ckptest-nights-" }));
  }

  get historyPath(): string {
    return `${this.path}/history.sqlite`;
  }

  /** Runs a night; each is a day after the one before. */
  async night(script: FakeScript, changes: NightChanges = {}): Promise<NightlyResult> {
    const { name = `night${this.#nights}`, planned, ...rest } = changes;
    const started = new Date(Date.UTC(2026, 0, 1 + this.#nights++)).toISOString();
    using history = await History.open(this.historyPath);
    return await runNight({
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
