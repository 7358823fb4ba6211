// SPDX-License-Identifier: MIT

import { medianOf } from "../nightly/history/compare_history.ts";
import { formatDuration } from "../nightly/plan/parse_quantity.ts";
import type { Terminal } from "../report/terminal.ts";
import { type BisectRun, type Failure, verdictOfRun } from "./bisect_run.ts";
import type { Change } from "./change_history.ts";
import type { BisectStanding } from "./next_step.ts";

/** Shows what a bisect is at, how much is left, and a line for each run that ended. */
export class BisectProgress implements Disposable {
  readonly #terminal: Terminal;
  readonly #timer: ReturnType<typeof setInterval>;
  #since = 0;
  #what = "";
  #left = "";
  #stage = "";

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#timer = setInterval(() => this.#show(), 1000);
  }

  /** A change is to be run. */
  begin(change: Change, standing: BisectStanding, runs: readonly BisectRun[]): void {
    this.#what = change.name;
    this.#left = leftText(standing, runs);
    this.#since = performance.now();
  }

  /** What is done with it: `source`, `building`, `running`. */
  stage(stage: string): void {
    this.#stage = stage;
    this.#show();
  }

  /** It came to its end. */
  end(change: Change, run: BisectRun, failure: Failure | undefined): void {
    this.#what = "";
    this.#terminal.clearStatus();
    this.#terminal.result(runLine(change, run, failure));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#terminal.clearStatus();
  }

  #show(): void {
    if (this.#what === "") return;
    const seconds = (performance.now() - this.#since) / 1000;
    const stage = `${this.#what}: ${this.#stage}`;
    this.#terminal.status(`bisect: ${stage} (${seconds.toFixed(0)} s); ${this.#left}`, stage);
  }
}

/** How many changes are left to try, and how long that takes by what the runs took so far. */
export function leftText(
  { suspects, stepsLeft }: Pick<BisectStanding, "suspects" | "stepsLeft">,
  runs: readonly BisectRun[],
): string {
  const each = medianOf(runs.map(({ seconds }) => seconds));
  const time = each === undefined ? "" : `, about ${formatDuration(each * stepsLeft)} left`;
  const steps = stepsLeft === 1 ? "1 change" : `${stepsLeft} changes`;
  return `${suspects.length} suspects, about ${steps} to try${time}`;
}

/** One line on a run. */
export function runLine({ name, title }: Change, run: BisectRun, wanted: Failure | undefined): string {
  const { skip, failures } = run;
  const [failure] = failures;
  const known = wanted && verdictOfRun(run, wanted);
  const word = known?.kind ?? (skip ? "skip" : failure ? "fail" : "pass");
  const built = run.buildSeconds > 0 ? `, ${formatDuration(run.buildSeconds)} of them to build` : "";
  const shown = failures.find(({ scenario }) => scenario === wanted?.scenario) ?? failure;
  const skipped = known?.kind === "skip" ? known.reason : skip?.reason;
  const why = word === "skip"
    ? skipped
    : word === "fail"
    ? shown && `${shown.scenario}: ${shown.text}`
    : undefined;
  const head = `${word.padEnd(4)}  ${name}  ${name.includes("-") ? "" : `${title} `}(${
    formatDuration(run.seconds)
  }${built})`;
  return why === undefined ? head : `${head}\n      ${why}`;
}
