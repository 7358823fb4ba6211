// SPDX-License-Identifier: MIT

import { type Finding, findingText } from "../../lib/image/finding.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { ExpectedError, InterruptedError, throwIfInterrupted } from "../../vm/host/errors.ts";
import { OWN_OVERLAY } from "../../vm/kernel/build/build_kernel.ts";
import { editFiles, type OverlayFiles, readOverlay } from "../../vm/kernel/source/kernel_overlay.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";
import { newFaultTally, sweepFaults } from "../faults/sweep_faults.ts";
import { GuestSlots } from "../run/guest_slots.ts";
import { Order } from "../run/in_order.ts";
import { parsePlatforms } from "../run/platform.ts";
import { runPlatform } from "../run/run_platform.ts";
import type { ScenarioResult } from "../run/scenario_result.ts";
import { groupEquivalents } from "./group_equivalents.ts";
import type { Mutant } from "./mutant.ts";
import { isOfRestart, MUTANT_PARAMETER_FILE, mutantKernelFiles, UNCHANGED } from "./mutant_kernel.ts";

/** How often a scenario is run before a mutant is said to get past it: when a task is switched away from is chance. */
const ATTEMPTS = 3;
/** The same of one with a race: who is first is chance. */
const RACE_ATTEMPTS = 5;

/** How a mutant ended. */
export interface MutantResult {
  readonly mutant: Mutant;
  /** `missed`: a scenario failed, but without the finding or line that its file names, or that says equivalent. */
  readonly verdict: "killed" | "missed" | "survived" | "equivalent";
  /** The scenario that killed it. */
  readonly by?: string;
  /** The first finding of that, or the one that the mutant's file names. */
  readonly finding?: string;
  readonly scenarios: number;
  readonly seconds: number;
}

/** What mutants run on: a kernel prepared with {@linkcode mutantRequest} of them all. */
export interface MutantRun {
  readonly prepared: PreparedGuest;
  /** All mutants that the kernel has, in the order in which it got them. */
  readonly mutants: readonly Mutant[];
  readonly catalogue: readonly Scenario[];
  /** Is told what runs. */
  readonly onProgress: (text: string) => void;
}

/** What a guest with these mutants in its kernel needs. */
export async function mutantRequest(mutants: readonly Mutant[]): Promise<{ moreFiles: OverlayFiles }> {
  return { moreFiles: await mutantKernelFiles(await readOverlay(OWN_OVERLAY), mutants) };
}

/**
 * The mutants that share the kernel of a platform, its own among them, and behind them those that several are as one;
 * without those that are known to survive.
 */
export async function mutantsFor(platform: string, mutants: readonly Mutant[]): Promise<Mutant[]> {
  const kernelOf = (arch: string): string => {
    const { kernel, flavour, series } = parsePlatforms({ arch, fallback: arch })[0]!;
    return [kernel, flavour, series].join();
  };
  const wanted = kernelOf(platform);
  const own = mutants.filter(({ platform, survives }) =>
    survives === undefined && kernelOf(platform) === wanted
  );
  return [...own, ...await groupEquivalents(own, await readOverlay(OWN_OVERLAY))];
}

/** The same guest with a mutant live in its kernel; without a boot where that can be. */
function withMutant(prepared: PreparedGuest, number: number): PreparedGuest {
  const startGuest = async () => {
    const guest = await (prepared.snapshots?.start() ?? prepared.startGuest());
    try {
      await guest.agent.writeFile(MUTANT_PARAMETER_FILE, `${number}`);
      return guest;
    } catch (error) {
      await guest[Symbol.asyncDispose]();
      throw error;
    }
  };
  return { ...prepared, startGuest };
}

/** Runs scenarios on mutants, each in a guest of its own, until one fails. */
export class MutantRunner {
  readonly #run: MutantRun;
  /** By scenario: how many mutants it has killed. */
  readonly #kills = new Map<string, number>();
  /** Scenarios that pass on the code as it is, with targets restarted or not. */
  readonly #passing = new Set<string>();

  constructor(run: MutantRun) {
    this.#run = run;
  }

  /**
   * Runs so many mutants side by side; results come in the order of the mutants, those of a group at the end. An error
   * ends all.
   */
  async runAll(
    wanted: readonly Mutant[],
    { jobs, onResult }: { readonly jobs: number; readonly onResult: (result: MutantResult) => void },
  ): Promise<void> {
    const { prepared: { snapshots, signal }, mutants } = this.#run;
    await using _ = snapshots;
    const [slots, order] = [new GuestSlots(jobs), new Order()];
    let hasFailed = false;
    const run = async (mutant: Mutant): Promise<MutantResult[]> => {
      const results: MutantResult[] = [];
      await slots.with(async () => {
        if (hasFailed) return;
        try {
          throwIfInterrupted(signal);
          results.push(await this.run(mutant));
        } catch (error) {
          hasFailed = true;
          throw error;
        }
      });
      const [result] = results;
      const { members } = mutant;
      if (!result || !members) return results;
      if (result.verdict === "equivalent") {
        const seconds = result.seconds / members.length;
        return members.map((member) => ({ ...result, mutant: member, seconds }));
      }
      // Each alone, to find those that are none; the others tell what all together died of.
      const alone = await whenAllEnded(members.map(run));
      return alone.flat().map((one) => ({ ...result, ...one }));
    };
    const groups = mutants.filter(({ members }) => members?.every((member) => wanted.includes(member)));
    const grouped = new Set(groups.flatMap(({ members }) => members));
    const alone = wanted.filter((mutant) => !grouped.has(mutant));
    const units = [...alone, ...groups].map((mutant) => ({ mutant, turn: order.turn() }));
    // Those that nothing kills take longest, so they begin.
    const isLong = ({ mutant }: typeof units[number]) => Number(mutant.equivalent !== undefined);
    const runs = units.toSorted((a, b) => isLong(b) - isLong(a)).map(async ({ mutant, turn }) => {
      const results = await run(mutant);
      turn.do(() => results.forEach(onResult));
      turn.end();
    });
    try {
      await whenAllEnded(runs);
    } finally {
      order.endAll();
    }
  }

  /**
   * Runs the scenario that a mutant names, then all others: first those that killed most mutants before. What fails on
   * the code as it is as well kills nothing.
   */
  async run(mutant: Mutant): Promise<MutantResult> {
    const start = performance.now();
    const { catalogue } = this.#run;
    const named = catalogue.filter(({ name }) => name === mutant.scenario);
    const killsOf = ({ name }: Scenario): number => this.#kills.get(name) ?? 0;
    const others = catalogue.filter(({ name }) => name !== mutant.scenario)
      .toSorted((a, b) => killsOf(b) - killsOf(a));
    let scenarios = 0;
    const attempts = named.some(({ race }) => race !== undefined) ? RACE_ATTEMPTS : ATTEMPTS;
    const batches = [...Array<readonly Scenario[]>(attempts).fill(named), others];
    for (const some of mutant.equivalent === undefined ? batches : [catalogue]) {
      const results = await this.#runUntilFailure(mutant, some);
      scenarios += results.filter(({ status }) => status !== "skip").length;
      const failed = results.find(({ status }) => status === "fail" || status === "lost");
      if (failed) return await this.#killed(mutant, failed, { scenarios, start });
    }
    const verdict = mutant.equivalent === undefined ? "survived" : "equivalent";
    return { mutant, verdict, scenarios, seconds: (performance.now() - start) / 1000 };
  }

  async #killed(
    mutant: Mutant,
    result: ScenarioResult,
    { scenarios, start }: { scenarios: number; start: number },
  ): Promise<MutantResult> {
    const { scenario } = result;
    await this.#checkUnchanged(scenario, mutant);
    this.#kills.set(scenario, 1 + (this.#kills.get(scenario) ?? 0));
    const findings = findingsOf(result);
    const isLineNamed = mutant.at === undefined ||
      await namesLine(mutant, [...findings.map(findingText), ...placesOf(result)]);
    const named = mutant.finding === undefined
      ? findings[0]
      : findings.find((finding) => isNamed(mutant.finding!, finding));
    return {
      mutant,
      verdict: mutant.equivalent === undefined && named && isLineNamed ? "killed" : "missed",
      by: scenario,
      finding: findingText(named ?? findings[0]!),
      scenarios,
      seconds: (performance.now() - start) / 1000,
    };
  }

  /** @throws {ExpectedError} when a scenario fails on the code as it is */
  async #checkUnchanged(scenario: string, mutant: Mutant): Promise<void> {
    const suite = scenario === mutant.scenario ? mutant.suite : undefined;
    const run = [scenario, isOfRestart(mutant) && "restarted", suite].join();
    if (this.#passing.has(run)) return;
    const wanted = this.#run.catalogue.filter(({ name }) => name === scenario);
    const [result] = await this.#runUntilFailure({ ...mutant, name: UNCHANGED }, wanted);
    if (result && result.status !== "pass") {
      throw new ExpectedError(`${scenario} fails without any mutant: ${findingText(findingsOf(result)[0]!)}`);
    }
    this.#passing.add(run);
  }

  async #runUntilFailure(mutant: Mutant, scenarios: readonly Scenario[]): Promise<ScenarioResult[]> {
    const { prepared, mutants, onProgress } = this.#run;
    const number = mutants.findIndex(({ name }) => name === mutant.name) + 1;
    const withFaults = mutant.suite === "faults" && scenarios.every(({ name }) => name === mutant.scenario);
    const faults = { checkpointNr: prepared.checkpointNr, tally: newFaultTally() };
    const results: ScenarioResult[] = [];
    const hasFailed = () => results.some(({ status }) => status === "fail" || status === "lost");
    const guest = {
      ...withMutant(prepared, number),
      skipReason: (scenario: Scenario) => hasFailed() ? "the mutant is dead" : prepared.skipReason(scenario),
    };
    await runPlatform(guest, scenarios, {
      guest() {},
      note() {},
      starting: (_platform, { name }) => onProgress(name),
      result: (_platform, result) => void results.push(result),
    }, {
      repeat: 0,
      restarts: isOfRestart(mutant),
      ...withFaults && { secondCheck: (guest) => (seen) => sweepFaults(guest, seen, faults) },
    });
    throwIfInterrupted(prepared.signal);
    // A mutant is alive in the system call alone: neither a guest that does not boot nor an error of ours has met it.
    const unmet = results.find(({ phase, fault }) => phase === "boot" || fault !== undefined);
    if (unmet) throw new ExpectedError(`${unmet.scenario}: ${findingText(findingsOf(unmet)[0]!)}`);
    return results;
  }
}

/** What all of them gave, once all have ended. @throws the first error, an interrupt only where there is no other */
async function whenAllEnded<T>(runs: readonly Promise<T>[]): Promise<T[]> {
  const ends = await Promise.allSettled(runs);
  const errors = ends.flatMap((end) => end.status === "rejected" ? [end.reason] : []);
  if (errors.length > 0) throw errors.find((error) => !(error instanceof InterruptedError)) ?? errors[0];
  return ends.flatMap((end) => end.status === "fulfilled" ? [end.value] : []);
}

/** All findings of a result; a guest that was lost is one, and so is why a scenario could not be carried out. */
function findingsOf({ outcome, status, reason }: ScenarioResult): Finding[] {
  const found = [
    ...outcome?.findings ?? [],
    ...outcome?.stops.flatMap((stop) => stop.findings) ?? [],
    ...status === "lost"
      ? [{ id: "lost", verdict: "mismatch", path: "guest", message: reason ?? "" } as const]
      : [],
  ];
  const other = { id: "E_FAILED", verdict: "mismatch", path: "scenario", message: reason ?? "" } as const;
  return found.length > 0 ? found : [other];
}

/** Whether a finding is the one that a mutant's file names. */
function isNamed(named: string, { id, path, message, actual }: Finding): boolean {
  const [, wantedId = "", wantedPath = "", text = ""] = /^(\w+) at ([^:]+)(?:: (.+))?$/.exec(named) ?? [];
  return id.startsWith(wantedId) && path.includes(wantedPath) && `${message} ${actual ?? ""}`.includes(text);
}

/** Places in the source that the stacks of a result name, as `FILE:LINE`. */
function placesOf({ splats }: ScenarioResult): string[] {
  return splats.flatMap(({ frames }) => frames);
}

/** Whether one of the texts names the line that the mutant's file says it must. */
async function namesLine({ at = "", edits }: Mutant, texts: readonly string[]): Promise<boolean> {
  const [, file = "", wanted = ""] = /^(\S+): (.+)$/.exec(at) ?? [];
  const overlay = await readOverlay(OWN_OVERLAY);
  const edited = await editFiles(edits, (path) => Promise.resolve(overlay.get(path)));
  return new TextDecoder().decode(edited.get(file) ?? overlay.get(file)).split("\n").some((line, index) =>
    line.trim() === wanted && texts.some((text) => new RegExp(`\\b${file}:${index + 1}\\b`).test(text))
  );
}
