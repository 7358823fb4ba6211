// SPDX-License-Identifier: MIT

import { type Finding, mismatch } from "../../../lib/image/finding.ts";
import type { CompiledScenario } from "../../../lib/model/compile_scenario.ts";
import type { ResultRole } from "../../../lib/model/target_op.ts";
import type { TargetEvent } from "../../../vm/agent/agent_types.ts";
import { checkResults, type ResultItem } from "../../check/check_results.ts";
import { lostMemory, MANY_CALLS, readLeakCounters } from "../../check/leaks/leak_counters.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import type { CaseOutcome, StopOutcome } from "./case_outcome.ts";
import { setUpCase } from "./case_setup.ts";
import { prepareTarget } from "./prepare_target.ts";
import { callStop, checkpointStop, type StopOptions } from "./run_stop.ts";
import { awaitConditions } from "./stop_conditions.ts";

/**
 * Longest wait for a target to carry its steps out: thousands of calls, emulated, on a machine that is busy.
 */
const TARGET_DEADLINE_MS = 60_000;

/** How a compiled scenario is carried out in a guest. */
export interface CaseOptions extends Pick<StopOptions, "kernel" | "onCheckpoint" | "secondCheck"> {
  /** The scenario's ops, encoded for the target. */
  readonly program: Uint8Array;
  readonly decodeResults: (bytes: Uint8Array) => ResultItem[];
}

/**
 * Carries out a scenario in a guest and judges each image. Rejects with GuestLostError when the guest is
 * lost.
 */
export async function runCase(
  guest: Guest,
  compiled: CompiledScenario,
  options: CaseOptions,
): Promise<CaseOutcome> {
  const { agent } = guest;
  await agent.clean();
  const undo = await setUpCase(agent, compiled.scenario.setup ?? []);
  const times = Math.max(...compiled.stops.map(({ call }) => call?.caller.times ?? 1));
  const counters = times >= MANY_CALLS ? await readLeakCounters(agent) : undefined;
  await agent.program(options.program);
  const user = compiled.scenario.setup?.find((step) => "uid" in step) ?? {};
  await agent.spawn(user);
  const outcome = await runStops(agent, compiled, options);
  if (compiled.scenario.setup) {
    // Swap can be switched off, and huge pages forbidden, once nobody has them.
    await agent.clean();
    await undo();
  }
  if (!counters) return outcome;
  // What holds on to the target's memory shows when the target is gone.
  await agent.clean();
  const leaks = lostMemory(counters, await readLeakCounters(agent));
  return { ...outcome, findings: [...outcome.findings, ...leaks] };
}

async function runStops(
  agent: GuestAgent,
  compiled: CompiledScenario,
  options: CaseOptions,
): Promise<CaseOutcome> {
  const stops: StopOutcome[] = [];
  const findings: Finding[] = [];
  let ownBytes = 0;
  let event: TargetEvent | undefined;
  for (const [index, stop] of compiled.stops.entries()) {
    event ??= await agent.event({ deadlineMs: TARGET_DEADLINE_MS });
    const results = options.decodeResults(await agent.results());
    // A call that went wrong is told once, at the first stop after it.
    if (findings.length === 0) {
      findings.push(...checkResults(results, compiled.results.slice(0, stop.resultsBefore)));
    }
    if (event.kind !== "stop" || event.label !== index) {
      findings.push(targetLost(stop.label, describeEvent(event)));
      return { stops, findings };
    }
    findings.push(...await awaitConditions(agent, { ...stop, pid: event.pid }));
    const prepared = await prepareTarget(agent, event, stop.tracer);
    findings.push(...prepared.findings);
    const resultOf = (role: ResultRole): bigint | undefined =>
      results.findLast((_, at) => compiled.results[at]?.role === role)?.value;
    const { pid, scratch } = event;
    const context: StopOptions = { ...options, target: compiled.target, pid, scratch, resultOf, ownBytes };
    const plain = stop.tracer.busy ? undefined : await checkpointStop(agent, stop, context);
    if (plain) stops.push(plain);
    if (stop.self) ownBytes += plain?.image.length ?? 0;
    event = undefined;
    if (stop.call) {
      const called = await callStop(agent, { ...stop, call: stop.call }, context, plain);
      stops.push(...called.stops);
      event = called.event;
      if (stop.call.target === "killed") {
        await prepared.forget();
        if (event?.kind !== "signal") {
          findings.push(targetLost("its end", event ? describeEvent(event) : "none"));
        }
        return { stops, findings };
      }
    }
    if (!event) await prepared.release();
  }
  const end = event ?? await agent.event({ deadlineMs: TARGET_DEADLINE_MS });
  if (end.kind !== "exit" || end.code !== 0) findings.push(targetLost("its end", describeEvent(end)));
  // The target's own look at its memory comes after the last checkpoint.
  else if (findings.length === 0) {
    findings.push(...checkResults(options.decodeResults(await agent.results()), compiled.results));
  }
  return { stops, findings };
}

/** What a target did, in words. */
export function describeEvent(event: TargetEvent): string {
  if (event.kind === "stop") return `stopped at label ${event.label}`;
  return event.kind === "exit" ? `exit status ${event.code}` : `ended by signal ${event.signal}`;
}

function targetLost(where: string, event: string): Finding {
  const message = "the target did not get there, or did not end well after its checkpoint";
  return mismatch("E_TARGET", { path: `target before "${where}"`, message, actual: event });
}
