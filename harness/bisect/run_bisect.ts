// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { removeIfThere } from "../../vm/host/ignore_missing.ts";
import { type GitError, runGit } from "../../vm/host/run_git.ts";
import { writeWhole } from "../../vm/host/write_whole.ts";
import type { JobRunner } from "../nightly/run/job_runner.ts";
import type { Terminal } from "../report/terminal.ts";
import {
  type BisectAnswer,
  type BisectRun,
  type BisectState,
  type Change,
  writeBisectState,
} from "./bisect_state.ts";
import { Evidence } from "./evidence.ts";
import { printBisect, runLine } from "./print_bisect.ts";
import { runSuite } from "./run_suite.ts";

interface RunBisectOptions {
  readonly state: BisectState;
  /** The bisect's: `bisect.json`, `bisect.log` as git gives it, and `runs/NUMBER` with the files of each run. */
  readonly directory: string;
  readonly tree: string;
  readonly runner: JobRunner;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * Carries a bisect out: the ends first, then whatever change git asks for. What each run says is kept at once, and all
 * else is drawn from that, so that a kill at any moment loses one run alone.
 *
 * @throws {InterruptedError} when the signal comes
 * @throws {ExpectedError} when the disk is full
 */
export async function runBisect(options: RunBisectOptions): Promise<BisectAnswer> {
  const { directory, terminal, state: { request } } = options;
  const driver = new BisectDriver(options);
  const answer = await driver.run();
  const state = { ...options.state, runs: driver.runs, answer };
  await writeBisectState(directory, state);
  const evidence = await driver.evidence();
  const tried = await Promise.all(evidence.tried.map((id) => driver.describe(id)));
  printBisect(answer, { tried, evidence, request, directory, terminal });
  return answer;
}

type Found = Omit<BisectAnswer, "failure" | "rate">;

class BisectDriver {
  readonly runs: BisectRun[];
  readonly #options: RunBisectOptions;
  readonly #contains = new Map<string, Set<string>>();
  /** How many changes are left, in git's words. */
  #left = "looking at the ends";
  /** What git was told last, and its log then. */
  #last: { readonly told: string; readonly log: string } | undefined;

  constructor(options: RunBisectOptions) {
    this.#options = options;
    this.runs = [...options.state.runs];
  }

  async run(): Promise<BisectAnswer> {
    const { good, bad } = this.#options.state;
    const all = [good, ...await this.#changesTo(bad)];
    for (;;) {
      const evidence = await this.evidence();
      const next = await this.#next(evidence, all);
      if (typeof next === "string") await this.#runOnce(next);
      else return { ...next, rate: evidence.rate, ...evidence.failure && { failure: evidence.failure } };
    }
  }

  async evidence(): Promise<Evidence> {
    const { good, bad, request: { confidence, maxRuns } } = this.#options.state;
    for (const { change } of this.runs) {
      if (this.#contains.has(change)) continue;
      this.#contains.set(change, new Set([good, ...await this.#changesTo(change)]));
    }
    return new Evidence({ good, bad, confidence, maxRuns, runs: this.runs, contains: this.#contains });
  }

  async describe(id: string): Promise<Change> {
    const log = await this.#git("log", "-1", "--format=%an <%ae>%x1f%aI%x1f%s", id);
    const [author = "", date = "", title = ""] = log.split("\x1f");
    return { id, name: this.#options.state.patches[id] ?? id.slice(0, 12), title, author, date };
  }

  async #git(...args: string[]): Promise<string> {
    return (await runGit(args, { cwd: this.#options.tree })).trimEnd();
  }

  get #firstParent(): string[] {
    const { source } = this.#options.state.request;
    return source.kind === "git" && source.firstParent ? ["--first-parent"] : [];
  }

  /** Ids of the changes behind the good end up to another one, oldest first. */
  async #changesTo(id: string): Promise<string[]> {
    const range = `${this.#options.state.good}..${id}`;
    const list = await this.#git("rev-list", "--topo-order", "--reverse", ...this.#firstParent, range);
    return list.split("\n");
  }

  async #next(evidence: Evidence, all: readonly string[]): Promise<string | Found> {
    const step = evidence.stepAtEnds();
    if (step && "run" in step) return step.run;
    if (step) {
      const { name } = await this.describe(step.wrong);
      const problem = { ...step.problem, text: `${name} ${step.problem.text}` };
      return { firstBad: [], confidence: 0, problem };
    }
    const log = await this.#gitBisect(evidence);
    const lines = log.matchAll(/^# (?:first|possible first) bad commit: \[(\w+)\]/gm);
    const found = new Set([...lines].map(([, id]) => id!));
    if (found.size === 0) return await this.#git("rev-parse", "--verify", "BISECT_HEAD");
    const firstBad = all.filter((id) => found.has(id));
    const confidence = evidence.confidence(firstBad, all);
    const weakest = confidence < this.#options.state.request.confidence ? evidence.weakest() : undefined;
    return weakest ?? { confidence, firstBad: await Promise.all(firstBad.map((id) => this.describe(id))) };
  }

  /** Tells git all that is known, and lets it choose. @returns its log, which says whether it has an answer */
  async #gitBisect(evidence: Evidence): Promise<string> {
    const { directory, state: { good, bad } } = this.#options;
    const told = JSON.stringify(evidence.told());
    if (this.#last?.told === told) return this.#last.log;
    let said = await this.#git("bisect", "start", "--no-checkout", ...this.#firstParent, bad, good);
    for (const [word, ids] of Object.entries(evidence.told())) {
      if (ids.length === 0) continue;
      // When none but skipped changes are left it ends with a status that is not 0.
      said = await this.#git("bisect", word, ...ids).catch((error: GitError) => error.message);
    }
    const log = await this.#git("bisect", "log");
    await writeWhole(join(directory, "bisect.log"), `${log}\n`);
    this.#left = /^Bisecting: (.+)$/m.exec(said)?.[1] ?? this.#left;
    this.#last = { told, log };
    return log;
  }

  async #runOnce(id: string): Promise<void> {
    const { state, directory, tree, runner, terminal, signal } = this.#options;
    const begin = performance.now();
    const change = await this.describe(id);
    terminal.status(`bisect: ${change.name}; ${this.#left}`, change.name);
    await this.#git("checkout", "--quiet", "--detach", id);
    const files = `runs/${String(this.runs.length + 1).padStart(3, "0")}`;
    const out = join(directory, files);
    await removeIfThere(out);
    await Deno.mkdir(out, { recursive: true });
    const outcome = await runSuite({ request: state.request, tree, runner, out, signal });
    const seconds = Math.round((performance.now() - begin) / 100) / 10;
    const run: BisectRun = { change: id, ...outcome, seconds, files };
    this.runs.push(run);
    await writeBisectState(directory, { ...state, runs: this.runs });
    terminal.clearStatus();
    terminal.result(runLine(change, run, (await this.evidence()).failure));
  }
}
