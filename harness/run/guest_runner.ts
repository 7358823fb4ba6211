// SPDX-License-Identifier: MIT

import { type Finding, mismatch } from "../../lib/image/finding.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { ExpectedError, InterruptedError, throwIfInterrupted } from "../../vm/host/errors.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import { type DrainOptions, type LogPart, LogReader } from "../triage/log_reader.ts";
import type { DecodedFrames } from "../triage/decode_frames.ts";
import { parseSplats } from "../triage/parse_splats.ts";
import type { Splat } from "../triage/splat.ts";
import type { AllowedSplat } from "../triage/splat_allowlist.ts";
import { splatRecord } from "./result_text.ts";
import type { CaseOutcome } from "./case/observe_checkpoint.ts";
import type { Guest } from "./guest/guest.ts";
import {
  faultResult,
  HarnessFault,
  isClean,
  type ResultStart,
  type ScenarioResult,
  startResult,
  TRUNCATED_LOG,
} from "./scenario_result.ts";
import { recordFailure } from "./record_failure.ts";
import { failingSplats } from "./run_result.ts";

/** How {@linkcode GuestRunner} runs scenarios. */
export interface GuestRunnerOptions {
  readonly startGuest: () => Promise<Guest>;
  /** How a guest is started that is recorded, for a failure that did not come again; undefined where none can be. */
  readonly startRecorded?: ((scenario: Scenario) => (() => Promise<Guest>) | undefined) | undefined;
  readonly runScenario: (guest: Guest, scenario: Scenario) => Promise<CaseOutcome>;
  readonly onGuest?: (guest: Guest) => void;
  /** Told of each result, which holds its images and is not kept. */
  readonly onResult: (result: ScenarioResult) => void;
  /**
   * How often a scenario that failed is run again, each time in a fresh guest. By default once, and twice
   * after a splat; but no more once a splat has been reproduced in three scenarios.
   */
  readonly repeat?: number | undefined;
  /** The entry that a complaint of the kernel is allowed by. */
  readonly allowed?: (splat: Splat) => AllowedSplat | undefined;
  /** Finds the lines of the source for a splat's stack. */
  readonly decode?: ((splat: Splat) => Promise<DecodedFrames>) | undefined;
  /** What each last guest has to tell before it is closed, such as kmemleak's reports, as lines of a kernel log. */
  readonly finalCheck?: ((guest: Guest) => Promise<string>) | undefined;
  /** Ends the run; whoever aborts it also sees to it that a guest that is waited for is lost. */
  readonly signal?: AbortSignal | undefined;
  readonly drain?: DrainOptions;
}

const REPEAT = 1;
const REPEAT_AFTER_SPLAT = 2;
/** Scenarios in which a splat is reproduced before others with it are believed without. */
const MAX_REPRODUCED = 3;
/** The kernel panics because its first process, the agent, has ended: no fault of the kernel by itself. */
const END_OF_AGENT = /^kernel panic: Attempted to kill init/;
/** Boots that fail one after another before the rest of the scenarios is given up. */
const MAX_BOOTS = 2;

type Complaints = Pick<LogPart, "text" | "splats">;

const BOOT = { scenario: "boot", phase: "boot" } as const;

interface Session {
  readonly guest: Guest;
  readonly log: LogReader;
  /** What passed last. */
  last?: ScenarioTurn;
}

/** What the guests of a run know together. */
export interface RunKnowledge {
  /** By the fingerprint of a splat, in how many scenarios it was reproduced. */
  readonly reproduced: Map<string, number>;
  readonly toldAtBoot: Set<string>;
  /** Why guests no longer boot. */
  bootFailure?: string;
}

/** A scenario with its place among the results. */
export interface ScenarioTurn {
  readonly scenario: Scenario;
  readonly add: (result: ScenarioResult) => void;
  /** Nothing more is added. */
  readonly end: () => void;
}

/**
 * Runs scenarios one after another in one guest. A guest that was lost, or whose kernel complained, is thrown
 * away, a fresh one started, and the scenario that did it run again alone there.
 */
export class GuestRunner implements AsyncDisposable {
  readonly #options: GuestRunnerOptions;
  readonly #known: RunKnowledge;
  #session: Session | undefined;

  constructor(options: GuestRunnerOptions, known: RunKnowledge) {
    this.#options = options;
    this.#known = known;
  }

  /**
   * Runs a scenario. What the kernel has said since the last one is a result of that.
   *
   * @returns false when no guest boots, and the scenario was not run
   */
  async run(turn: ScenarioTurn): Promise<boolean> {
    let isRun = true;
    await this.#guarded({ scenario: turn.scenario.name }, turn, async () => {
      throwIfInterrupted(this.#options.signal);
      isRun = await this.#runNext(turn);
    });
    if (isRun && this.#session?.last !== turn) turn.end();
    return isRun;
  }

  /** Checks the guest as a whole after its last scenario. */
  async finish(): Promise<void> {
    const last = this.#session?.last;
    if (!last) return;
    await this.#guarded({ scenario: last.scenario.name, phase: "afterwards" }, last, () => this.#finish());
    last.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#throwAway();
  }

  /** Does a part of the run; an error of ckptest itself is a result, and ends that part alone. */
  async #guarded(start: ResultStart, { add }: ScenarioTurn, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { command = "", console } = this.#session?.guest ?? {};
      add(this.#faultOf(error, { ...start, guestCommand: command, kernelLog: console?.text() ?? "" }));
      await this.#throwAway();
    }
  }

  async #runNext(turn: ScenarioTurn): Promise<boolean> {
    const { scenario, add } = turn;
    const last = this.#session?.last;
    const late = last && this.#session!.log.readComplaints();
    if (late) await this.#addLate(this.#session!, last, late);
    last?.end();
    this.#session ??= await this.#start();
    if (!this.#session) return false;
    const first = await this.#attempt(this.#session, scenario);
    if (first.status === "pass") {
      add(first);
      this.#session.last = turn;
      return true;
    }
    await this.#throwAway();
    add(await this.#again(first, scenario));
    return true;
  }

  async #throwAway(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.guest[Symbol.asyncDispose]();
  }

  /** Boots a guest; what its kernel says until then is a result of its own if it is a complaint. */
  async #start(startGuest = this.#options.startGuest): Promise<Session | undefined> {
    if (this.#known.bootFailure !== undefined) return undefined;
    const losses: ScenarioResult[] = [];
    let session: Session | undefined;
    while (!session && losses.length < MAX_BOOTS) {
      let guest: Guest | undefined;
      try {
        guest = await startGuest();
        this.#options.onGuest?.(guest);
        const log = new LogReader(guest, this.#options.drain);
        await this.#addBoot(guest, log);
        session = { guest, log };
      } catch (error) {
        await guest?.[Symbol.asyncDispose]();
        throwIfInterrupted(this.#options.signal);
        if (!(error instanceof GuestLostError)) throw error;
        const text = error.consoleText ?? error.consoleTail;
        const lost = await this.#complaints({ ...BOOT, guestCommand: error.command }, {
          text,
          splats: parseSplats(text),
        });
        losses.push({ ...lost, status: "lost", reason: error.message });
      }
    }
    const [first, second] = losses;
    // Guests that fail beside each other have one story to tell.
    const isTold = second !== undefined && this.#known.bootFailure !== undefined;
    if (second) this.#known.bootFailure ??= second.reason!.split("\n", 1)[0]!;
    if (first && !isTold) {
      const sameSplat = Number(second !== undefined && hasSplatOf(second, printsOf(first)));
      this.#options.onResult({ ...first, reproduced: { times: losses.length - 1, of: 1, sameSplat } });
    }
    return session;
  }

  /** What a boot has to tell, once for all boots. */
  async #addBoot({ command: guestCommand, console }: Guest, log: LogReader): Promise<void> {
    const start = { ...BOOT, guestCommand };
    let told: ScenarioResult;
    try {
      told = await this.#complaints(start, await log.readToMark("booted"));
    } catch (error) {
      told = this.#faultOf(error, { ...start, kernelLog: console.text() });
    }
    const marks = [
      ...told.splats.map(({ fingerprint }) => fingerprint),
      ...told.fault ? [told.fault.message] : [],
    ];
    if (marks.some((mark) => !this.#known.toldAtBoot.has(mark))) this.#options.onResult(told);
    for (const mark of marks) this.#known.toldAtBoot.add(mark);
  }

  /** The result for an error of ckptest itself; any other one is thrown on. */
  #faultOf(error: unknown, start: ResultStart): ScenarioResult {
    throwIfInterrupted(this.#options.signal);
    if (error instanceof ExpectedError) throw error;
    return faultResult(start, error);
  }

  async #attempt({ guest, log }: Session, scenario: Scenario): Promise<ScenarioResult> {
    const begin = performance.now();
    const mark = guest.console.offset;
    const start = { scenario: scenario.name, guestCommand: guest.command };
    let result: ScenarioResult;
    try {
      result = await this.#judge(start, { guest, log }, scenario);
    } catch (error) {
      result = this.#faultOf(error, { ...start, kernelLog: guest.console.text(mark) });
    }
    return { ...result, milliseconds: performance.now() - begin };
  }

  async #judge(start: ResultStart, { guest, log }: Session, scenario: Scenario): Promise<ScenarioResult> {
    let outcome: CaseOutcome;
    try {
      outcome = await this.#options.runScenario(guest, scenario);
    } catch (error) {
      // An agent that answered with an error, or a program that did not run: the guest is well.
      if (!(error instanceof ExpectedError)) throw error;
      const isLost = error instanceof GuestLostError;
      return await this.#broken(start, error, isLost ? await log.drain() : await readToEnd(log, scenario));
    }
    const end = await readToEnd(log, scenario);
    // A guest that went away after its last image, and whose kernel did not say why.
    if (end.lost && end.splats.length === 0) return await this.#broken(start, end.lost, end);
    const result = await this.#complaints(start, end);
    const findings = [
      ...outcome.findings,
      ...result.outcome!.findings,
      ...(end.isWhole ? [] : [TRUNCATED_LOG]),
    ];
    const whole = { ...outcome, findings };
    return { ...result, status: isClean(whole) ? "pass" : "fail", outcome: whole };
  }

  /** The result of a scenario that did not come to its end, unless whoever interrupts the run has ended its guest. */
  async #broken(start: ResultStart, error: Error, part: LogPart): Promise<ScenarioResult> {
    throwIfInterrupted(this.#options.signal);
    const result = await this.#complaints({ ...start, reason: error.message }, part);
    const isExplained = failingSplats(result)
      .some(({ title }) => !END_OF_AGENT.test(title));
    // A guest whose kernel said why it went away fails its scenario.
    return { ...result, status: error instanceof GuestLostError && !isExplained ? "lost" : "fail" };
  }

  async #again(first: ScenarioResult, scenario: Scenario): Promise<ScenarioResult> {
    const prints = printsOf(first);
    const isKnown = prints.length > 0 &&
      prints.every((print) => (this.#known.reproduced.get(print) ?? 0) >= MAX_REPRODUCED);
    const times = this.#options.repeat ??
      (isKnown ? 0 : prints.length > 0 ? REPEAT_AFTER_SPLAT : REPEAT);
    let [runs, failed, sameSplat] = [0, 0, 0];
    for (; runs < times; runs++) {
      const next = await this.#attemptAlone(scenario);
      if (!next) break;
      if (next.status !== "pass") failed++;
      if (hasSplatOf(next, prints)) sameSplat++;
    }
    if (sameSplat > 0) {
      for (const print of prints) {
        this.#known.reproduced.set(print, (this.#known.reproduced.get(print) ?? 0) + 1);
      }
    }
    if (runs === 0) return first;
    const start = failed === 0 ? this.#options.startRecorded?.(scenario) : undefined;
    const recorded = start && await recordFailure(first, () => this.#attemptAlone(scenario, start));
    const recording = recorded?.recording;
    const reproduced = {
      times: failed + Number(recording !== undefined),
      of: runs + (recorded?.runs ?? 0),
      sameSplat,
    };
    return { ...first, reproduced, ...recording && { recording } };
  }

  /** Undefined when no guest boots, or the run is interrupted. */
  async #attemptAlone(
    scenario: Scenario,
    startGuest?: () => Promise<Guest>,
  ): Promise<ScenarioResult | undefined> {
    try {
      const fresh = await this.#start(startGuest);
      if (!fresh) return undefined;
      await using guest = fresh.guest;
      const result = await this.#attempt(fresh, scenario);
      return { ...result, ...guest.recording && { recording: guest.recording } };
    } catch (error) {
      if (!(error instanceof InterruptedError)) throw error;
      return undefined;
    }
  }

  /** Adds what the kernel said between two scenarios to the one that ended last, and runs that one again. */
  async #addLate({ guest }: Session, { scenario, add }: ScenarioTurn, part: LogPart): Promise<void> {
    const reason = `after ${scenario.name} had ended`;
    const start = { ...afterwards(scenario, guest), reason };
    const late = await this.#complaints(start, part);
    await this.#throwAway();
    add(late.status === "fail" ? await this.#again(late, scenario) : late);
  }

  /** Checks the last guest as a whole, and reads its log to the end. */
  async #finish(): Promise<void> {
    const session = this.#session;
    if (!session?.last) return;
    const { guest, log, last } = session;
    const start = afterwards(last.scenario, guest);
    let part: LogPart;
    try {
      const text = await this.#options.finalCheck?.(guest) ?? "";
      const splats = parseSplats(text);
      const reason = "at the end of the run: any scenario since the guest's boot may have done it";
      if (splats.length > 0) last.add(await this.#complaints({ ...start, reason }, { text, splats }));
      part = await log.readToMark("end of the run");
    } catch (error) {
      throwIfInterrupted(this.#options.signal);
      if (!(error instanceof ExpectedError)) throw error;
      // A check that could not be made has not found that all is well.
      part = await log.drain();
      last.add(await this.#broken(start, error, part));
    }
    if (part.splats.length > 0) await this.#addLate(session, last, part);
  }

  /** A result of nothing but what the kernel said. */
  async #complaints(start: ResultStart, { text, splats }: Complaints): Promise<ScenarioResult> {
    const { allowed, decode } = this.#options;
    const faults: Finding[] = [];
    const records = await Promise.all(splats.map(async (splat) => {
      const decoded = await decode?.(splat).catch((error) => {
        if (!(error instanceof ExpectedError)) faults.push(HarnessFault.of(error).toFinding());
        return undefined;
      });
      return splatRecord(splat, decoded, allowed?.(splat));
    }));
    const complaints = failingSplats({ splats: records }).map(({ title }) =>
      mismatch("E_SPLAT", { path: "kernel log", message: "the kernel complained", actual: title })
    );
    const findings = [...complaints, ...faults];
    return startResult({
      ...start,
      status: findings.length > 0 ? "fail" : "pass",
      outcome: { stops: [], findings },
      kernelLog: text,
      splats: records,
    });
  }
}

/** What a result is of that comes when its scenario has ended. */
function afterwards({ name: scenario }: Scenario, { command: guestCommand }: Guest): ResultStart {
  return { scenario, phase: "afterwards", guestCommand };
}

/** The log up to the end of a scenario, or of the guest if that comes first. */
async function readToEnd(log: LogReader, scenario: Scenario): Promise<LogPart & { lost?: GuestLostError }> {
  try {
    return await log.readToMark(`end of ${scenario.name}`);
  } catch (error) {
    if (!(error instanceof GuestLostError)) throw error;
    return { ...await log.drain(), lost: error };
  }
}

function printsOf(result: ScenarioResult): string[] {
  return failingSplats(result).map(({ fingerprint }) => fingerprint);
}

function hasSplatOf(result: ScenarioResult, prints: readonly string[]): boolean {
  return printsOf(result).some((print) => prints.includes(print));
}
