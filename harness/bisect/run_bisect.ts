// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { removeIfThere } from "../../vm/host/ignore_missing.ts";
import { type GitError, runGit } from "../../vm/host/run_git.ts";
import { writeWhole } from "../../vm/host/write_whole.ts";
import { ExpectedError, throwIfInterrupted } from "../../vm/host/errors.ts";
import { DISK_FULL_HINT, isDiskNearlyFull } from "../../vm/kernel/build/build_error.ts";
import { nameOfSuite } from "../nightly/plan/matrix.ts";
import { suiteCommand } from "../nightly/plan/plan_jobs.ts";
import { endOfJob, JOB_LOG, type JobRunner, JobTemp } from "../nightly/run/judge_job.ts";
import type { Terminal } from "../report/terminal.ts";
import {
  type BisectAnswer,
  type BisectRequest,
  type BisectRun,
  type BisectState,
  type Change,
  type Failure,
  type RunOutcome,
  writeBisectState,
} from "./bisect_state.ts";
import { Evidence, missProbability } from "./evidence.ts";
import { outcomeOfRun, skippedRun, verdictOfRun } from "./run_outcome.ts";
import { shellJoin } from "../../vm/host/shell_quote.ts";
import { formatDuration } from "../run/quantity.ts";

interface RunBisectOptions {
  readonly request: BisectRequest;
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
  return await new BisectDriver(options).run();
}

type Found = Omit<BisectAnswer, "failure" | "rate">;

class BisectDriver {
  readonly #runs: BisectRun[];
  readonly #options: RunBisectOptions;
  readonly #contains = new Map<string, Set<string>>();
  /** How many changes are left, in git's words. */
  #left = "looking at the ends";
  /** What git was told last, and its log then. */
  #last: { readonly told: string; readonly log: string } | undefined;

  constructor(options: RunBisectOptions) {
    this.#options = options;
    this.#runs = [...options.state.runs];
  }

  async run(): Promise<BisectAnswer> {
    const { good, bad } = this.#options.state;
    const all = [good, ...await this.#changesTo(bad)];
    for (;;) {
      const evidence = await this.#evidence();
      const next = await this.#next(evidence, all);
      if (typeof next === "string") {
        await this.#runOnce(next);
        continue;
      }
      const answer = { ...next, rate: evidence.rate, failure: evidence.failure };
      await writeBisectState(this.#options.directory, { ...this.#options.state, runs: this.#runs, answer });
      await this.#print(answer, evidence);
      return answer;
    }
  }

  async #evidence(): Promise<Evidence> {
    const { state: { good, bad }, request: { confidence, maxRuns } } = this.#options;
    for (const { change } of this.#runs) {
      if (this.#contains.has(change)) continue;
      this.#contains.set(change, new Set([good, ...await this.#changesTo(change)]));
    }
    return new Evidence({ good, bad, confidence, maxRuns, runs: this.#runs, contains: this.#contains });
  }

  async #describe(id: string): Promise<Change> {
    const log = await this.#git("log", "-1", "--format=%an <%ae>%x1f%aI%x1f%s", id);
    const [author = "", date = "", title = ""] = log.split("\x1f");
    return { id, name: this.#options.state.patches[id] ?? id.slice(0, 12), title, author, date };
  }

  async #git(...args: string[]): Promise<string> {
    return (await runGit(args, { cwd: this.#options.tree })).trimEnd();
  }

  get #firstParent(): string[] {
    const { source } = this.#options.request;
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
      const { name } = await this.#describe(step.wrong);
      const problem = { ...step.problem, text: `${name} ${step.problem.text}` };
      return { firstBad: [], confidence: 0, problem };
    }
    const log = await this.#gitBisect(evidence);
    const lines = log.matchAll(/^# (?:first|possible first) bad commit: \[(\w+)\]/gm);
    const found = new Set([...lines].map(([, id]) => id!));
    if (found.size === 0) return await this.#git("rev-parse", "--verify", "BISECT_HEAD");
    const firstBad = all.filter((id) => found.has(id));
    const confidence = evidence.confidence(firstBad, all);
    const weakest = confidence < this.#options.request.confidence ? evidence.weakest() : undefined;
    return weakest ?? { confidence, firstBad: await Promise.all(firstBad.map((id) => this.#describe(id))) };
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
    const { state, directory, terminal } = this.#options;
    const begin = performance.now();
    const change = await this.#describe(id);
    terminal.status(`bisect: ${change.name}; ${this.#left}`, change.name);
    await this.#git("checkout", "--quiet", "--detach", id);
    const files = `runs/${String(this.#runs.length + 1).padStart(3, "0")}`;
    const out = join(directory, files);
    await removeIfThere(out);
    await Deno.mkdir(out, { recursive: true });
    const outcome = await this.#runSuite(out);
    const seconds = Math.round((performance.now() - begin) / 100) / 10;
    const run: BisectRun = { change: id, ...outcome, seconds, files };
    this.#runs.push(run);
    await writeBisectState(directory, { ...state, runs: this.#runs });
    terminal.clearStatus();
    terminal.result(runLine(change, run, (await this.#evidence()).failure));
  }

  /**
   * Builds the kernel of the tree and runs the suite on it.
   *
   * @throws {InterruptedError} when the signal comes
   * @throws {ExpectedError} when it failed on a full disk
   */
  async #runSuite(out: string): Promise<RunOutcome> {
    const { request: { suite, platform, flavour, deadlineSeconds }, tree, runner, signal } = this.#options;
    const command = suiteCommand(suite, platform, { flavour, options: ["--kernel-tree", tree] });
    // What failed is run again by us.
    const args = suite.kind === "catalogue" ? [...command.args, "--repeat", "0"] : command.args;
    await using temp = await JobTemp.make();
    const deadline = AbortSignal.timeout(deadlineSeconds * 1000);
    const end = await runner.run({ name: "bisect", command: { ...command, args } }, {
      ...{ out, logPath: join(out, JOB_LOG), outcomePath: join(out, "outcome.json"), tmp: temp.path },
      signal: AbortSignal.any([signal, deadline]),
    });
    throwIfInterrupted(signal);
    const hasResults = command.writesResults;
    const late = deadline.aborted;
    const { kind, reason = "", run } = await endOfJob(end, { out, hasResults, late, deadlineSeconds });
    const outcome = (): RunOutcome => {
      switch (kind) {
        case undefined:
        case "test":
        case "guest lost":
        case "nothing ran":
          if (run) return outcomeOfRun(run);
          break;
        case "build":
          return skippedRun("build", `does not build: ${reason}`);
        case "deadline":
          return skippedRun("deadline", reason);
        default:
          return skippedRun("other", reason);
      }
      // Random programs write no results: they count as one scenario.
      const scenario = nameOfSuite(suite);
      if (kind === undefined) return { passed: [scenario], skipped: [], failures: [] };
      if (kind !== "test") return skippedRun(kind, reason);
      const keys = new Set(end.outcome?.findings?.map(({ key }) => key).filter((key) => key !== ""));
      return {
        passed: [],
        skipped: [],
        failures: [{ scenario, keys: [...keys], lost: false, text: reason }],
      };
    };
    const said = outcome();
    if (said.skip && await isDiskNearlyFull(out)) throw new ExpectedError(DISK_FULL_HINT);
    return said;
  }

  /** Prints all changes that were tried, and what was found. */
  async #print({ firstBad, confidence, failure, problem }: BisectAnswer, evidence: Evidence): Promise<void> {
    const { request, directory, terminal } = this.#options;
    const print = (line: string): void => terminal.result(line);
    print("\nchanges tried:");
    for (const id of evidence.tried) print(`  ${changeLine(await this.#describe(id), evidence)}`);
    print("");
    if (failure) print(`failure: ${failure.scenario}: ${failure.text}`);
    if (problem) return print(terminal.style(`no answer: ${problem.text}`, "fail"));
    print(rateText(evidence));
    if (firstBad.length !== 1) {
      print(
        terminal.style(`first bad change: one of these ${firstBad.length}; the others were skipped`, "fail"),
      );
    }
    const { source } = request;
    for (const { id, name, title, author, date } of firstBad) {
      const isPatch = source.kind === "patches";
      const show = isPatch
        ? ["cat", join(source.directory, name)]
        : ["git", "-C", source.repository, "show", id];
      print(terminal.style(`first bad change: ${isPatch ? name : id}`, "bold"));
      print(`  title:   ${title}\n  author:  ${author}\n  date:    ${date}\n  show it: ${shellJoin(show)}`);
    }
    const last = evidence.runsOf(firstBad.at(-1)?.id ?? "").findLast(({ failures }) => failures.length > 0);
    if (last) print(`  failing run: ${join(directory, last.files)}`);
    print(`confidence: ${percent(confidence)} (asked for: ${percent(request.confidence)})`);
  }
}

function runLine({ name, title }: Change, run: BisectRun, wanted: Failure | undefined): string {
  const { failures, seconds } = run;
  const failure = failures.find(({ scenario }) => scenario === wanted?.scenario) ?? failures[0];
  const verdict = wanted ? verdictOfRun(run, wanted) : run.skip ?? (failure ? "fail" : "pass");
  const word = typeof verdict === "string" ? verdict : "skip";
  const head = `${word.padEnd(4)}  ${nameOf(name, title)} (${formatDuration(seconds)})`;
  if (word === "pass") return head;
  return `${head}\n      ${
    typeof verdict === "string" ? `${failure?.scenario}: ${failure?.text}` : verdict.text
  }`;
}

function changeLine({ id, name, title }: Change, evidence: Evidence): string {
  const runs = evidence.runsOf(id);
  const failed = runs.filter(({ failures }) => failures.length > 0).length;
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0);
  const verdict = evidence.verdict(id) ?? "undecided";
  const [word, what] = typeof verdict === "string"
    ? [verdict, `${failed} of ${runs.length} runs failed`]
    : ["skipped", verdict.text];
  return `${word.padEnd(9)}  ${nameOf(name, title)}  ${formatDuration(seconds)}  ${what}`;
}

function nameOf(name: string, title: string): string {
  return name.includes("-") || name === "0" ? name : `${name}  ${title}`;
}

function rateText(evidence: Evidence): string {
  const { rate: { failed, runs } } = evidence;
  const goods = evidence.tried.filter((id) => evidence.verdict(id) === "good");
  const fewest = Math.min(...goods.map((id) => evidence.count(id, "pass")));
  const how = failed === runs ? "each time" : `in ${failed} of ${runs} runs`;
  if (goods.length === 0) return `rate:    it showed ${how} (${runs} runs) on bad changes`;
  return `rate:    it showed ${how} (${runs} runs) on bad changes; a bad change passes ` +
    `${fewest === 1 ? "once" : `${fewest} times in a row`} with a probability of ` +
    `${percent(missProbability(fewest, evidence.rate))} at most`;
}

function percent(share: number): string {
  const value = share * 100;
  if (value > 99.99 && value < 100) return "over 99.99 %";
  return `${value.toFixed(value > 99 || value < 1 ? 2 : 1)} %`;
}
