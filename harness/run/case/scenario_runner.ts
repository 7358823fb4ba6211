// SPDX-License-Identifier: MIT

import { POSTED_SERIES } from "../../../lib/abi/series.ts";
import type { KernelObservation } from "../../../lib/compare/observation.ts";
import { compileScenario } from "../../../lib/model/compile_scenario.ts";
import { type Scenario, selfScenario } from "../../../lib/model/scenario.ts";
import { decodeResults, encodeProgram } from "../../../vm/agent/target_program.ts";
import { ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { checkWithGcore } from "../../check/gcore.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import { installFiles } from "../guest/scenario_files.ts";
import { withFileLeakCheck } from "../../check/leaks/file_leaks.ts";
import { withPageLeakCheck } from "../../check/leaks/page_leaks.ts";
import { modelSeries } from "../guest/user_kernel.ts";
import type { PreparedGuest } from "../guest/prepare_guest.ts";
import type { CaseOutcome, GuestKernel, SecondCheck } from "./observe_checkpoint.ts";
import { type CaseOptions, runCase, type StoppedAt } from "./run_case.ts";
import { runProgram } from "./run_program.ts";
import { HarnessFault } from "../scenario_result.ts";
import { withMembers } from "../../../vm/host/with_members.ts";
import { runRace } from "./run_race.ts";

/** What {@linkcode scenarioRunner} adds to each scenario. */
export interface RunnerOptions
  extends Pick<CaseOptions, "onCheckpoint" | "restarts">, Pick<GuestKernel, "judge"> {
  /** What is done in a guest where a target has stopped, before its checkpoint; it may take any time. */
  readonly beforeCall?: ((stop: StoppedAt, guest: Guest) => Promise<void>) | undefined;
  /** A second check of every stop, in place of the one that a scenario names. */
  readonly secondCheck?: (guest: Guest) => SecondCheck;
}

/** Makes the function that carries out one scenario in a guest of a prepared kernel. */
export function scenarioRunner(
  prepared: PreparedGuest,
  options: RunnerOptions = {},
): (guest: Guest, scenario: Scenario) => Promise<CaseOutcome> {
  const known = new WeakMap<Guest, Promise<GuestKernel>>();
  const run = async (guest: Guest, scenario: Scenario): Promise<CaseOutcome> => {
    const asked = known.get(guest) ?? guestKernel(guest, prepared);
    known.set(guest, asked);
    // Awaited before anything else can fail: a question that nobody waits for outlives the guest.
    const kernel = { ...await asked, judge: options.judge };
    await installFiles(guest.agent, prepared.filesOf.get(scenario.name) ?? []);
    return await keepAnswers(guest, (kept) => runOne(kept, scenario, kernel));
  };
  const runOne = async (guest: Guest, scenario: Scenario, kernel: GuestKernel): Promise<CaseOutcome> => {
    const { restarts } = options;
    const beforeCall = (stop: StoppedAt) => options.beforeCall?.(stop, guest) ?? Promise.resolve();
    const withGcore: SecondCheck = ({ raw: { pid }, image }) => checkWithGcore(guest.agent, { pid, image });
    const secondCheck = options.secondCheck?.(guest) ??
      (scenario.judge === "gcore" ? withGcore : undefined);
    if (scenario.program) {
      return await runProgram(guest, scenario.program, { kernel, secondCheck, beforeCall, restarts });
    }
    if (scenario.race) return await runRace(guest, { ...scenario, race: scenario.race }, kernel);
    const compiled = prepared.compiled.get(scenario) ??
      compileScenario(prepared.self ? selfScenario(scenario) : scenario, prepared.compileTarget);
    return await runCase(guest, compiled, {
      ...{ onCheckpoint: options.onCheckpoint, beforeCall, secondCheck, kernel, restarts },
      program: encodeProgram(compiled.ops),
      decodeResults: (bytes) => decodeResults(compiled.ops, bytes).results,
    });
  };
  const checked = withFileLeakCheck(run);
  return prepared.platform.flavour === "debug"
    ? withPageLeakCheck(checked, prepared.build?.vmlinux)
    : checked;
}

/** What a booted guest says of its kernel and processor. */
export async function guestKernel(guest: Guest, prepared: PreparedGuest): Promise<GuestKernel> {
  const dialect = prepared.compileTarget.dialect ?? "port";
  const { platform: { series, name } } = prepared;
  const { release } = guest.agent.info;
  // The scenarios were compiled for the platform's series before the guest could be asked.
  if (dialect === "port" && modelSeries(release).series !== series) {
    throw new UsageError(`Linux ${release} runs where ${name} was to be judged by the model of ${series}`);
  }
  return {
    arch: prepared.platform.kernel,
    series: dialect === "v11" ? POSTED_SERIES : series,
    dialect,
    checkpointNr: prepared.checkpointNr,
    revision: prepared.revision,
    observed: await observeKernel(guest.agent),
  };
}

/** What a kernel says of itself; one of 2.6.28 has no zero page. */
export async function observeKernel(agent: GuestAgent): Promise<KernelObservation> {
  const text = new TextDecoder().decode(await agent.readFile("/proc/cpuinfo"));
  const flags = /^flags\s*:\s*(.*)$/m.exec(text)?.[1] ?? "";
  const { release, version, machine, zeroPageFrame } = agent.info;
  const zeroFrame = zeroPageFrame === 0n ? undefined : zeroPageFrame;
  return { release, version, machine, zeroFrame, cpuFlags: new Set(flags.split(" ")) };
}

/** Answers of the agent that are kept: those around two checkpoints. */
const MAX_ANSWERS = 16;

/**
 * Does a piece of work with a guest, and keeps its agent's last answers meanwhile, so that a judge that fails on one of
 * them can be given it again.
 *
 * @throws {HarnessFault} with the answers, in place of an error that nobody foresaw
 */
async function keepAnswers<T>(guest: Guest, work: (guest: Guest) => Promise<T>): Promise<T> {
  const answers: [name: string, bytes: Uint8Array][][] = [];
  let count = 0;
  const keep = <A>(name: string, answer: A): A => {
    const parts = bytesOf(answer);
    if (parts.length === 0) return answer;
    const begin = `${String(++count).padStart(3, "0")}-${name}`;
    answers.push(parts.map(([part, bytes]) => [`${begin}${part}`, bytes]));
    if (answers.length > MAX_ANSWERS) answers.shift();
    return answer;
  };
  const agent = withMembers(guest.agent, (name, value) => {
    if (typeof value !== "function") return value;
    return (...args: unknown[]): unknown => {
      const answer: unknown = value(...args);
      return answer instanceof Promise ? answer.then((result) => keep(name, result)) : answer;
    };
  });
  try {
    return await work(withMembers(guest, (name, value) => name === "agent" ? agent : value));
  } catch (error) {
    throw error instanceof ExpectedError ? error : new HarnessFault(error, new Map(answers.flat()));
  }
}

/** The parts of an answer that are bytes, by the ends of their names; "" for an answer that is nothing else. */
function bytesOf(answer: unknown): [name: string, bytes: Uint8Array][] {
  if (answer instanceof Uint8Array) return [["", answer]];
  if (typeof answer !== "object" || answer === null) return [];
  const entries: [string, unknown][] = answer instanceof Map ? [...answer] : Object.entries(answer);
  return entries.filter((entry): entry is [string, Uint8Array] => entry[1] instanceof Uint8Array)
    .map(([name, bytes]) => [`.${name.replaceAll("/", "_")}`, bytes]);
}
