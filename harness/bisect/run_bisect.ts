// SPDX-License-Identifier: MIT

import { TextLineStream } from "@std/streams";
import { join } from "@std/path";
import { ignoreMissing, removeIfThere } from "../../vm/host/ignore_missing.ts";
import { GitError } from "../../vm/host/run_git.ts";
import { writeWhole } from "../../vm/host/write_whole.ts";
import { DISK_FULL_HINT } from "../../vm/kernel/build/build_error.ts";
import type { JobRunner } from "../nightly/run/job_runner.ts";
import type { Terminal } from "../report/terminal.ts";
import { type BisectState, type Change, type EndedBisect, writeBisectState } from "./bisect_state.ts";
import { BISECT_STATUS } from "./bisect_status.ts";
import type { BisectTree } from "./bisect_tree.ts";
import { type BisectRun, Evidence } from "./evidence.ts";
import { runLine } from "./print_bisect.ts";
import type { SkipReason } from "./run_outcome.ts";
import { runSuite } from "./run_suite.ts";

/** What {@linkcode runBisect} takes. */
interface RunBisectOptions {
  readonly state: BisectState;
  /** The bisect's: `bisect.json`, `bisect.log` as git gives it, and `runs/NUMBER` with the files of each run. */
  readonly directory: string;
  readonly tree: BisectTree;
  readonly runner: JobRunner;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * Carries a bisect out: the ends first, then `git bisect run`, which is given our verdicts. What each run says is kept
 * at once, so that a kill at any moment loses that one alone.
 *
 * @returns the end, or why it was stopped before
 */
export async function runBisect(options: RunBisectOptions): Promise<EndedBisect | string> {
  return await new BisectDriver(options).run();
}

/** What `git bisect run` runs: it asks us for a status. Without an answer it ends with one that stops git. */
const ASK = "verdict?";
const ASKING_COMMAND = `echo '${ASK}'; read -r status && exit "$status"; exit ${BISECT_STATUS.stop}`;

class BisectDriver {
  readonly #options: RunBisectOptions;
  readonly #runs: BisectRun[];
  readonly #contains = new Map<string, Set<string>>();
  readonly #changes = new Map<string, Change>();
  /** How many changes are left, in git's words. */
  #left = "looking at the ends";
  #stopped: string | undefined;
  /** What is checked out, where that is known. */
  #head: string | undefined;

  constructor(options: RunBisectOptions) {
    this.#options = options;
    this.#runs = [...options.state.runs];
  }

  async run(): Promise<EndedBisect | string> {
    const { good, bad, request } = this.#options.state;
    const all = [good, ...await this.#changesTo(bad)];
    let hasBegun = false;
    while (this.#stopped === undefined) {
      const evidence = await this.#evidence();
      const step = evidence.stepAtEnds();
      if (step && "wrong" in step) {
        const { name } = await this.#describe(step.wrong);
        const problem = { ...step.problem, text: `${name} ${step.problem.text}` };
        return await this.#finish({ firstBad: [], confidence: 0, problem });
      }
      if (step) {
        await this.#runOnce(step.run);
        continue;
      }
      if (!hasBegun) await this.#startGit();
      hasBegun = true;
      const found = await this.#firstBad();
      if (!found) {
        await this.#gitBisectRun();
        continue;
      }
      const firstBad = all.filter((id) => found.includes(id));
      const confidence = evidence.confidence(firstBad, all);
      const weak = confidence >= request.confidence
        ? undefined
        : evidence.weakest([good, ...await this.#goods()]);
      if (weak === undefined) return await this.#finish({ firstBad, confidence });
      await this.#runOnce(weak);
      if ((await this.#evidence()).verdict(weak) === "bad") await this.#takeBack(weak);
    }
    return this.#stopped;
  }

  async #git(...args: string[]): Promise<string> {
    return await this.#options.tree.git(...args);
  }

  get #firstParent(): string[] {
    const { source } = this.#options.state.request;
    return source.kind === "git" && source.firstParent ? ["--first-parent"] : [];
  }

  /** Ids of the changes behind the good end up to another one, oldest first. */
  async #changesTo(id: string): Promise<string[]> {
    const range = `${this.#options.state.good}..${id}`;
    return (await this.#git("rev-list", "--topo-order", "--reverse", ...this.#firstParent, range)).split(
      "\n",
    );
  }

  async #evidence(): Promise<Evidence> {
    const { good, bad, request: { confidence, maxRuns } } = this.#options.state;
    for (const { change } of this.#runs) {
      if (this.#contains.has(change)) continue;
      this.#contains.set(change, new Set([good, ...await this.#changesTo(change)]));
    }
    return new Evidence({ good, bad, confidence, maxRuns, runs: this.#runs, contains: this.#contains });
  }

  /** Runs the suite once on a change; false when that was cut short. */
  async #runOnce(id: string): Promise<boolean> {
    const { state, directory, tree, runner, terminal, signal } = this.#options;
    const begin = performance.now();
    const change = await this.#describe(id);
    terminal.status(`bisect: ${change.name}; ${this.#left}`, change.name);
    if (this.#head !== id) await this.#git("checkout", "--quiet", "--detach", id);
    this.#head = id;
    const files = `runs/${String(this.#runs.length + 1).padStart(3, "0")}`;
    const out = join(directory, files);
    await removeIfThere(out);
    await Deno.mkdir(out, { recursive: true });
    const outcome = await runSuite({ request: state.request, tree: tree.path, runner, out, signal });
    if (outcome === undefined || outcome === "disk full") {
      this.#stopped = outcome === undefined ? String(signal.reason) : DISK_FULL_HINT;
      return false;
    }
    const seconds = Math.round((performance.now() - begin) / 100) / 10;
    const run: BisectRun = { change: id, ...outcome, seconds, files };
    this.#runs.push(run);
    await writeBisectState(directory, { ...state, runs: this.#runs });
    terminal.clearStatus();
    terminal.result(runLine(change, run, (await this.#evidence()).failure));
    return true;
  }

  get #logPath(): string {
    return join(this.#options.directory, "bisect.log");
  }

  /** Begins, or goes on where git's own log ends. */
  async #startGit(): Promise<void> {
    const { good, bad } = this.#options.state;
    const log = await Deno.readTextFile(this.#logPath).catch(ignoreMissing);
    this.#head = undefined;
    if (log === undefined) await this.#git("bisect", "start", ...this.#firstParent, bad, good);
    else if (await this.#git("bisect", "log").catch(() => "") !== log.trimEnd()) await this.#replay(log);
    await this.#log();
  }

  /** Git's log, which is kept in our directory too: the tree may be lost. */
  async #log(): Promise<string> {
    const log = await this.#git("bisect", "log");
    await writeWhole(this.#logPath, `${log}\n`);
    return log;
  }

  /** Ends with a status that is not 0 where only skipped changes are left. */
  async #replay(log: string): Promise<void> {
    this.#head = undefined;
    await writeWhole(this.#logPath, `${log.trimEnd()}\n`);
    await this.#git("bisect", "replay", this.#logPath).catch(async (error) => {
      if (!(error instanceof GitError) || !await this.#firstBad()) throw error;
    });
  }

  /** Lets git choose changes until it knows the first bad one, or none is left. */
  async #gitBisectRun(): Promise<void> {
    this.#head = undefined;
    const args = ["bisect", "run", "sh", "-c", ASKING_COMMAND];
    const pipes = { stdin: "piped", stdout: "piped", stderr: "piped", detached: true } as const;
    const child = this.#options.tree.gitCommand(args, pipes).spawn();
    const [answers, said] = [child.stdin.getWriter(), new Response(child.stderr).text()];
    try {
      const decoded = child.stdout.pipeThrough(new TextDecoderStream());
      for await (const line of decoded.pipeThrough(new TextLineStream())) {
        if (line.startsWith("Bisecting: ")) this.#left = line.slice("Bisecting: ".length);
        if (line !== ASK) continue;
        const verdict = await this.#judgeHead();
        if (verdict === undefined) break;
        await answers.write(new TextEncoder().encode(`${verdict}\n`));
      }
    } finally {
      // Where it has no answer, git ends.
      await answers.close().catch(() => {});
      await child.status;
    }
    await this.#log();
    if (this.#stopped === undefined && !await this.#firstBad()) {
      throw new GitError(`git bisect run: ${await said}`);
    }
  }

  /** Runs the change that git has checked out until it is judged; undefined when that was cut short. */
  async #judgeHead(): Promise<number | undefined> {
    await this.#log();
    const id = this.#head = await this.#git("rev-parse", "HEAD");
    for (;;) {
      const verdict = (await this.#evidence()).verdict(id);
      if (verdict !== undefined) return BISECT_STATUS[typeof verdict === "string" ? verdict : "skip"];
      if (!await this.#runOnce(id)) return undefined;
    }
  }

  /** Ids of the changes that git found, one or all that may be it; undefined while it looks for them. */
  async #firstBad(): Promise<string[] | undefined> {
    const found = (await this.#git("bisect", "log")).matchAll(
      /^# (?:first|possible first) bad commit: \[(\w+)\]/gm,
    );
    const ids = [...found].map(([, id]) => id!);
    return ids.length === 0 ? undefined : ids;
  }

  /** Ids of the changes that git was told to be good. */
  async #goods(): Promise<string[]> {
    return [...(await this.#log()).matchAll(/^git bisect good (\w+)$/gm)].map(([, id]) => id!);
  }

  /** A change that was taken to be good is bad: so is what was made on it. */
  async #takeBack(id: string): Promise<void> {
    const evidence = await this.#evidence();
    const wrong = (await this.#goods()).filter((good) => evidence.contains(good, id));
    const lines = (await this.#log()).split("\n").filter((line) =>
      !line.startsWith("#") && !wrong.some((good) => line === `git bisect good ${good}`)
    );
    await this.#replay([...lines, `git bisect bad ${id}`].join("\n"));
  }

  async #describe(id: string): Promise<Change> {
    const known = this.#changes.get(id);
    if (known) return known;
    const log = await this.#git("log", "-1", "--format=%an <%ae>%x1f%aI%x1f%s", id);
    const [author = "", date = "", title = ""] = log.split("\x1f");
    const change = { id, name: this.#options.state.patches[id] ?? id.slice(0, 12), title, author, date };
    this.#changes.set(id, change);
    return change;
  }

  async #finish(
    { firstBad, confidence, problem }: {
      firstBad: readonly string[];
      confidence: number;
      problem?: SkipReason;
    },
  ): Promise<EndedBisect> {
    const evidence = await this.#evidence();
    const { failure, rate } = evidence;
    const changes = await Promise.all(firstBad.map((id) => this.#describe(id)));
    const answer = { firstBad: changes, confidence, failure, rate, problem };
    await writeBisectState(this.#options.directory, { ...this.#options.state, runs: this.#runs, answer });
    return { answer, evidence, describe: (id) => this.#describe(id) };
  }
}
