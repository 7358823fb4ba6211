// SPDX-License-Identifier: MIT

import type { BisectRun, Failure, SkipReason } from "./bisect_state.ts";
import { isSameFailure, verdictOfRun } from "./run_outcome.ts";

/** What {@linkcode Evidence} rests on. */
export interface EvidenceInput {
  readonly good: string;
  readonly bad: string;
  readonly runs: readonly BisectRun[];
  /** Of each change that ran, the ids of itself and of all those that it was made on, back to the good end. */
  readonly contains: ReadonlyMap<string, ReadonlySet<string>>;
  readonly confidence: number;
  readonly maxRuns: number;
}

/** Runs of the bad end from which the failure's rate is taken. */
const RUNS_AT_BAD = 3;
/** As many failures tell the rate of a failure that comes and goes. */
const FAILURES_WHEN_FLAKY = 4;
/** The bad end is refused when it passes so often. */
const MAX_PASSES_AT_BAD = 10;
/** So many runs that say nothing make a change one that is skipped: a single one may be the machine's fault. */
const MAX_INFRA_FAILURES = 2;

/**
 * What the runs of a bisect say, and nothing else: so one that was killed goes on where it was.
 *
 * A change with one failing run is bad, one with enough passes is good. How many that is depends on how often the
 * failure shows at bad changes.
 */
export class Evidence {
  /** What is looked for: of the failures of the bad end the one that came most often and is not at the good end. */
  readonly failure: Failure | undefined;
  readonly rate: FailureRate;
  /** Passes that make a change good. */
  readonly needed: number;
  readonly #input: EvidenceInput;
  readonly #runs: ReadonlyMap<string, readonly BisectRun[]>;

  constructor(input: EvidenceInput) {
    this.#input = input;
    this.#runs = Map.groupBy(input.runs, ({ change }) => change);
    this.failure = this.#chooseFailure();
    this.rate = this.#failureRate();
    this.needed = passesNeeded(this.rate, 1 - input.confidence, input.maxRuns);
  }

  /** Ids of the changes that ran, in the order of the first run. */
  get tried(): string[] {
    return [...this.#runs.keys()];
  }

  runsOf(id: string): readonly BisectRun[] {
    return this.#runs.get(id) ?? [];
  }

  /** How many runs of a change showed the failure, or passed. */
  count(id: string, verdict: "fail" | "pass"): number {
    const { failure } = this;
    if (!failure) return 0;
    return this.runsOf(id).filter((run) => verdictOfRun(run, failure) === verdict).length;
  }

  /** Whether a change is good or bad, or why it cannot be judged; undefined when it is to be run again. */
  verdict(id: string): "good" | "bad" | SkipReason | undefined {
    if (this.count(id, "fail") > 0) return "bad";
    if (this.failure && this.count(id, "pass") >= this.needed) return "good";
    const { failure } = this;
    const reasons = this.runsOf(id).map((run) => failure ? verdictOfRun(run, failure) : run.skip)
      .filter((verdict) => typeof verdict === "object");
    const unbuilt = reasons.find(({ kind }) => kind === "build");
    return unbuilt ?? (reasons.length >= MAX_INFRA_FAILURES ? reasons.at(-1) : undefined);
  }

  /** Which end is to be run again, or what is wrong with one; undefined when both are as they were said to be. */
  stepAtEnds(): { run: string } | { wrong: string; problem: SkipReason } | undefined {
    const { good, bad, maxRuns } = this.#input;
    const atBad = this.runsOf(bad);
    const failing = atBad.filter(({ failures }) => failures.length > 0);
    const unusable = this.verdict(bad);
    if (failing.length === 0) {
      if (typeof unusable === "object") return { wrong: bad, problem: unusable };
      if (atBad.length < Math.min(maxRuns, MAX_PASSES_AT_BAD)) return { run: bad };
      const text = `is not bad: it passed ${atBad.length} of ${atBad.length} runs`;
      return { wrong: bad, problem: { kind: "other failure", text } };
    }
    const atGood = this.runsOf(good);
    const shown = atGood.length > 0 ? this.count(bad, "fail") : failing.length;
    const told = atBad.filter(({ skip }) => !skip).length;
    const isRateKnown = told >= RUNS_AT_BAD && (shown === told || shown >= FAILURES_WHEN_FLAKY);
    if (this.failure && !isRateKnown && atBad.length < maxRuns && typeof unusable !== "object") {
      return { run: bad };
    }
    if (atGood.length === 0) return { run: good };
    if (!this.failure) {
      const [same] = atGood.flatMap(({ failures }) => failures);
      const text = `is not good: ${same?.scenario} fails there, too: ${same?.text}`;
      return { wrong: good, problem: { kind: "other failure", text } };
    }
    const verdict = this.verdict(good);
    if (verdict === undefined) return { run: good };
    return typeof verdict === "object" ? { wrong: good, problem: verdict } : undefined;
  }

  /** What git is told. A change that was made on a bad one is not good, however often it passed. */
  told(): { bad: string[]; good: string[]; skip: string[] } {
    const judged = (word: "bad" | "good" | "skip"): string[] =>
      this.tried.filter((id) => {
        const verdict = this.verdict(id);
        return word === (typeof verdict === "object" ? "skip" : verdict);
      });
    const bad = judged("bad");
    const first = (ids: string[]): string[] =>
      ids.filter((id) => !bad.some((other) => other !== id && this.contains(id, other)));
    return { bad: first(bad).slice(-1), good: first(judged("good")), skip: judged("skip") };
  }

  /**
   * The probability that the first bad change is one of these. Before any run each change is as likely as any other to
   * be it, and the good end as likely as one of them to be bad.
   *
   * @param all ids of all changes from the good end to the bad one
   */
  confidence(answer: readonly string[], all: readonly string[]): number {
    const tried = this.tried.map((id) => {
      return { id, failed: this.count(id, "fail"), passed: this.count(id, "pass") };
    });
    const weight = (first: string): number => {
      let [failed, passed] = [0, 0];
      for (const one of tried) {
        if (this.contains(one.id, first)) [failed, passed] = [failed + one.failed, passed + one.passed];
        else if (one.failed > 0) return 0;
      }
      return likelihood({ failed, passed });
    };
    const sum = (ids: readonly string[]): number => ids.reduce((total, id) => total + weight(id), 0);
    return sum(answer) / (sum(all) || 1);
  }

  /** The good change on which an answer rests and which has the fewest passes; undefined when none may be run again. */
  weakest(): string | undefined {
    const { good } = this.told();
    const last = good.filter((id) => !good.some((other) => other !== id && this.contains(other, id)));
    const passes = (id: string): number => this.count(id, "pass");
    return last.filter((id) => this.runsOf(id).length < this.#input.maxRuns)
      .toSorted((a, b) => passes(a) - passes(b))[0];
  }

  contains(id: string, other: string): boolean {
    return id === other || this.#input.contains.get(id)?.has(other) === true;
  }

  #chooseFailure(): Failure | undefined {
    const { good, bad } = this.#input;
    const old = this.runsOf(good).flatMap(({ failures }) => failures);
    const all = this.runsOf(bad).flatMap(({ failures }) => failures);
    const count = (wanted: Failure): number => all.filter((one) => isSameFailure(one, wanted)).length;
    return all.filter((one) => !old.some((other) => isSameFailure(one, other)))
      .toSorted((a, b) => count(b) - count(a))[0];
  }

  /** How often the failure shows, by all changes that are bad or were made on a bad one. */
  #failureRate(): FailureRate {
    const bads = this.tried.filter((id) => this.count(id, "fail") > 0);
    const counted = this.tried.filter((id) => bads.some((bad) => this.contains(id, bad)));
    const sum = (verdict: "fail" | "pass"): number =>
      counted.reduce((all, id) => all + this.count(id, verdict), 0);
    return { failed: sum("fail"), runs: sum("fail") + sum("pass") };
  }
}

/** What runs of bad changes gave: those that showed the failure, and all that could have shown it. */
interface FailureRate {
  readonly failed: number;
  readonly runs: number;
}

/**
 * Share of failures that are taken to show in each run, before any run; all others have some rate, each as
 * likely as any other. With 0.9 in place of it, answers on failures that show in 7 of 10 runs were said to be
 * wrong in 1 of 100 cases, and were in 7 (simulated).
 */
const STEADY = 0.5;

/**
 * The probability that a bad change passes so many runs in a row, from what is known of the failure's rate. A
 * failure that was seen to be absent once is not steady.
 */
export function missProbability(passes: number, { failed, runs }: FailureRate): number {
  const passed = runs - failed;
  if (passes === 0) return 1;
  const unsteady = passed > 0 ? 1 : (1 - STEADY) / (1 - STEADY + STEADY * (runs + 1));
  let miss = unsteady;
  for (let pass = 0; pass < passes; pass++) miss *= (passed + 1 + pass) / (runs + 2 + pass);
  return miss;
}

/** How many passes in a row are needed for {@linkcode missProbability} to be at most `allowed`; `max` at most. */
export function passesNeeded(rate: FailureRate, allowed: number, max: number): number {
  for (let passes = 1; passes < max; passes++) if (missProbability(passes, rate) <= allowed) return passes;
  return max;
}

/**
 * How likely so many failed and passed runs of bad changes are, up to a factor that all changes have in common. Of
 * their rate no more is known than above.
 */
export function likelihood({ failed, passed }: { failed: number; passed: number }): number {
  let unsteady = 1;
  // The Beta function of failed + 1 and passed + 1, factor by factor.
  for (let index = 1; index <= passed; index++) unsteady *= index / (failed + index);
  unsteady /= failed + passed + 1;
  return (passed === 0 ? STEADY : 0) + (1 - STEADY) * unsteady;
}
