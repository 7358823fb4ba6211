// SPDX-License-Identifier: MIT

import { type BisectRun, type Failure, isSameFailure, type SkipKind, verdictOfRun } from "./bisect_run.ts";
import { type ChangeHistory, pickChange } from "./change_history.ts";
import { type FailureRate, likelihood, passesNeeded } from "./failure_rate.ts";

/** All that decides how a bisect goes on. */
export interface BisectState {
  readonly history: ChangeHistory;
  /** Ids of the ends. */
  readonly good: string;
  readonly bad: string;
  /** What ran, in its order. */
  readonly runs: readonly BisectRun[];
  /** Wanted probability that the answer is right, below 1. */
  readonly confidence: number;
  /** A change is run so often at most. */
  readonly maxRuns: number;
}

/** What is to be done. */
export type NextStep =
  | { readonly kind: "run"; readonly change: string }
  /** The ends are not what they were said to be. */
  | {
    readonly kind: "refused";
    readonly change: string;
    readonly problem: string;
    readonly because: SkipKind | "wrong end";
  }
  | { readonly kind: "ended" };

/** What is known of a change. */
export type ChangeVerdict =
  | { readonly kind: "good" | "bad" | "undecided" }
  | { readonly kind: "skipped"; readonly reason: string };

/** Where a bisect stands. */
export interface BisectStanding {
  readonly step: NextStep;
  /** The failure that is looked for, when it is known. */
  readonly failure: Failure | undefined;
  /** Other failures that came with the bad end. */
  readonly otherFailures: readonly Failure[];
  readonly rate: FailureRate;
  /** Passes in a row that make a change good. */
  readonly needed: number;
  /** By id, of each change that ran. */
  readonly verdicts: ReadonlyMap<string, ChangeVerdict>;
  /** Ids of the changes that may be the first bad one, oldest first. */
  readonly suspects: readonly string[];
  /** How many more changes are to be tried, at most, when none is skipped. */
  readonly stepsLeft: number;
  /** Probability that the first bad change is among the suspects. */
  readonly confidence: number;
}

/** Runs of the bad end from which its rate is taken. */
const RUNS_AT_BAD = 3;
/** As many failures tell the rate of a failure that comes and goes. */
const FAILURES_WHEN_FLAKY = 4;

/**
 * Says where a bisect stands and what is next, from what ran and nothing else: so one that was killed goes on
 * where it was.
 *
 * First the bad end is run until it fails, and then some times more, for the rate of the failure; then the
 * good end. A change with one failing run is bad, a change with enough passes is good. What is known of the
 * rate grows meanwhile; a good change that has too few passes for that is run again.
 */
export function nextStep(state: BisectState): BisectStanding {
  return new Assessment(state).standing();
}

class Assessment {
  readonly #state: BisectState;
  readonly #runs = new Map<string, BisectRun[]>();
  readonly #ancestors = new Map<string, Set<string>>();
  readonly #failure: Failure | undefined;

  constructor(state: BisectState) {
    this.#state = state;
    for (const run of state.runs) this.#runs.set(run.change, [...this.#runsOf(run.change), run]);
    this.#failure = this.#chooseFailure();
  }

  standing(): BisectStanding {
    const { history } = this.#state;
    const rate = this.#rate();
    const needed = passesNeeded(rate, 1 - this.#state.confidence, this.#state.maxRuns);
    const verdicts = new Map([...this.#runs.keys()].map((id) => [id, this.#verdict(id, needed)]));
    const bads = this.#idsOf(verdicts, "bad");
    const goods = this.#idsOf(verdicts, "good").filter((id) => !this.#containsBad(id, bads));
    const cleared = new Set(goods.flatMap((id) => [...this.#ancestorsOf(id)]));
    cleared.add(this.#state.good);
    const suspects = new Set(
      history.changes.map(({ id }) => id)
        .filter((id) => !cleared.has(id) && bads.every((bad) => this.#ancestorsOf(bad).has(id))),
    );
    const untried = new Set([...suspects].filter((id) => !["bad", "skipped"].includes(kindOf(verdicts, id))));
    const confidence = this.#confidence([...suspects]);
    const step = this.#stepAtEnds(needed) ??
      this.#stepToDecide(verdicts, bads, cleared) ??
      this.#stepBetween(suspects, untried) ??
      this.#stepToConfirm(goods, confidence);
    return {
      ...{ step, rate, needed, verdicts, confidence, failure: this.#failure },
      otherFailures: this.#otherFailures(),
      suspects: [...suspects],
      stepsLeft: step.kind === "run" ? Math.max(Math.ceil(Math.log2(untried.size + 1)), 1) : 0,
    };
  }

  /** Of the failures of the bad end the one that came most often and is not that of the good end. */
  #chooseFailure(): Failure | undefined {
    const { good, bad } = this.#state;
    const old = this.#runsOf(good).flatMap(({ failures }) => failures);
    const all = this.#runsOf(bad).flatMap(({ failures }) => failures);
    const count = (wanted: Failure): number => all.filter((one) => isSameFailure(one, wanted)).length;
    return all.filter((one) => !old.some((other) => isSameFailure(one, other)))
      .map((failure) => ({ failure, times: count(failure) }))
      .reduce<{ failure: Failure; times: number } | undefined>(
        (best, next) => best === undefined || next.times > best.times ? next : best,
        undefined,
      )?.failure;
  }

  #otherFailures(): Failure[] {
    const all = this.#runsOf(this.#state.bad).flatMap(({ failures }) => failures);
    const others = new Map(all.map((failure) => [failure.scenario, failure]));
    if (this.#failure) others.delete(this.#failure.scenario);
    return [...others.values()];
  }

  /** What is to be run, or is wrong, at the ends. */
  #stepAtEnds(needed: number): NextStep | undefined {
    const { good, bad, maxRuns } = this.#state;
    const refuse = (change: string, problem: string, because: SkipKind | "wrong end" = "wrong end") =>
      ({ kind: "refused", change, problem, because }) as const;
    const run = (change: string) => ({ kind: "run", change }) as const;
    const atBad = this.#runsOf(bad);
    const failing = atBad.filter(({ failures }) => failures.length > 0);
    if (failing.length === 0) {
      const hindrance = this.#hindrance(bad);
      if (hindrance) return refuse(bad, hindrance.reason, hindrance.because);
      if (atBad.length < maxRuns && (atBad.length < TRIES_AT_BAD)) return run(bad);
      return refuse(bad, `is not bad: it passed ${atBad.length} of ${atBad.length} runs`);
    }
    if (this.#isRateOpen(failing.length)) return run(bad);
    const failure = this.#failure;
    const atGood = this.#runsOf(good);
    if (atGood.length === 0) return run(good);
    if (!failure) {
      const [same] = atGood.flatMap(({ failures }) => failures);
      return refuse(good, `is not good: ${same?.scenario} fails there, too: ${same?.text}`);
    }
    if (this.#isRateOpen(this.#count(bad, "fail"))) return run(bad);
    if (this.#count(good, "pass") >= needed) return undefined;
    const hindrance = this.#hindrance(good);
    if (hindrance) {
      const isEnd = hindrance.because === "wrong end" || hindrance.because === "nothing ran";
      const problem = isEnd ? `cannot be taken as good: ${hindrance.reason}` : hindrance.reason;
      return refuse(good, problem, hindrance.because);
    }
    return run(good);
  }

  /** Whether the bad end must run again for its rate. */
  #isRateOpen(failing: number): boolean {
    const { bad, maxRuns } = this.#state;
    const { length } = this.#runsOf(bad).filter(({ skip }) => !skip);
    if (this.#runsOf(bad).length >= maxRuns || this.#hindrance(bad)) return false;
    return length < RUNS_AT_BAD || (failing < length && failing < FAILURES_WHEN_FLAKY);
  }

  /** A change that has passes, but too few. */
  #stepToDecide(
    verdicts: ReadonlyMap<string, ChangeVerdict>,
    bads: readonly string[],
    cleared: ReadonlySet<string>,
  ): NextStep | undefined {
    for (const [id, { kind }] of verdicts) {
      if (kind !== "undecided" || cleared.has(id) || this.#containsBad(id, bads)) continue;
      return { kind: "run", change: id };
    }
    return undefined;
  }

  #stepBetween(suspects: ReadonlySet<string>, untried: ReadonlySet<string>): NextStep | undefined {
    // All that is tried and still suspected was skipped, but for the bad end of the suspects.
    const skips = Math.max(suspects.size - untried.size - 1, 0);
    const picked = pickChange(this.#state.history, { suspects, untried, skips });
    return picked && { kind: "run", change: picked.id };
  }

  /** Runs a change again on which the answer rests, until the answer is as sure as it is to be. */
  #stepToConfirm(goods: readonly string[], confidence: number): NextStep {
    const { maxRuns } = this.#state;
    if (confidence >= this.#state.confidence) return { kind: "ended" };
    const last = goods.filter((id) =>
      !goods.some((other) => other !== id && this.#ancestorsOf(other).has(id))
    );
    const passes = (id: string): number => this.#count(id, "pass");
    const [weakest] = last.filter((id) => passes(id) < maxRuns).sort((a, b) => passes(a) - passes(b));
    return weakest === undefined ? { kind: "ended" } : { kind: "run", change: weakest };
  }

  #verdict(id: string, needed: number): ChangeVerdict {
    if (this.#count(id, "fail") > 0) return { kind: "bad" };
    if (this.#failure && this.#count(id, "pass") >= needed) return { kind: "good" };
    const hindrance = this.#hindrance(id);
    return hindrance ? { kind: "skipped", reason: hindrance.reason } : { kind: "undecided" };
  }

  /**
   * Why a change cannot be judged: it does not build, or runs of it came to nothing more than once. A machine
   * has its accidents; one alone is passed over.
   */
  #hindrance(id: string): Hindrance | undefined {
    const failure = this.#failure;
    const found = this.#runsOf(id).flatMap((run): Hindrance[] => {
      if (run.skip) return [{ reason: run.skip.reason, because: run.skip.kind }];
      const verdict = failure && verdictOfRun(run, failure);
      if (verdict?.kind !== "skip") return [];
      const because = run.failures.some(({ scenario }) => scenario === failure?.scenario)
        ? "wrong end"
        : "nothing ran";
      return [{ reason: verdict.reason, because }];
    });
    const unbuilt = found.find(({ because }) => because === "build");
    return unbuilt ?? (found.length >= ACCIDENTS ? found.at(-1) : undefined);
  }

  /** How often the failure shows, by all changes that are bad or were made on a bad one. */
  #rate(): FailureRate {
    const bads = [...this.#runs.keys()].filter((id) => this.#count(id, "fail") > 0);
    let [failed, runs] = [0, 0];
    for (const id of this.#runs.keys()) {
      if (!this.#containsBad(id, bads)) continue;
      failed += this.#count(id, "fail");
      runs += this.#count(id, "fail") + this.#count(id, "pass");
    }
    return { failed, runs };
  }

  /**
   * The probability that the first bad change is one of these. Before any run each change is as likely as any
   * other to be it, and the good end as likely as one of them to be bad.
   */
  #confidence(suspects: readonly string[]): number {
    const { history } = this.#state;
    const tried = [...this.#runs.keys()].map((id) => ({
      contains: this.#ancestorsOf(id),
      failed: this.#count(id, "fail"),
      passed: this.#count(id, "pass"),
    }));
    let [inside, all] = [0, 0];
    const wanted = new Set(suspects);
    for (const { id } of history.changes) {
      let [failed, passed, fits] = [0, 0, true];
      for (const one of tried) {
        if (one.contains.has(id)) [failed, passed] = [failed + one.failed, passed + one.passed];
        else if (one.failed > 0) fits = false;
      }
      const weight = fits ? likelihood({ failed, passed }) : 0;
      all += weight;
      if (wanted.has(id)) inside += weight;
    }
    return all === 0 ? 0 : inside / all;
  }

  #count(id: string, kind: "pass" | "fail"): number {
    const failure = this.#failure;
    if (!failure) return 0;
    return this.#runsOf(id).filter((run) => verdictOfRun(run, failure).kind === kind).length;
  }

  #containsBad(id: string, bads: readonly string[]): boolean {
    return bads.some((bad) => this.#ancestorsOf(id).has(bad));
  }

  #idsOf(verdicts: ReadonlyMap<string, ChangeVerdict>, wanted: ChangeVerdict["kind"]): string[] {
    return [...verdicts].filter(([, { kind }]) => kind === wanted).map(([id]) => id);
  }

  #ancestorsOf(id: string): Set<string> {
    const known = this.#ancestors.get(id) ?? this.#state.history.ancestors(id);
    this.#ancestors.set(id, known);
    return known;
  }

  #runsOf(id: string): readonly BisectRun[] {
    return this.#runs.get(id) ?? [];
  }
}

/** So many runs of a change that came to nothing make it one that is skipped. */
const ACCIDENTS = 2;

/** Why a change cannot be judged. */
interface Hindrance {
  readonly reason: string;
  readonly because: SkipKind | "wrong end";
}

/** So often the bad end may pass before it is refused. */
const TRIES_AT_BAD = 10;

function kindOf(verdicts: ReadonlyMap<string, ChangeVerdict>, id: string): string {
  return verdicts.get(id)?.kind ?? "untried";
}
