// SPDX-License-Identifier: MIT

import { parseMaps } from "../../../lib/compare/proc_maps.ts";
import { readImage } from "../../../lib/image/image.ts";
import type { RaceScenario, Scenario } from "../../../lib/model/scenario.ts";
import {
  checkRaceCall,
  missingOutcomes,
  nameOfCall,
  parseRaceCalls,
  splitShared,
  withoutStamps,
} from "../../check/check_race.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import { setUpCase } from "./run_case.ts";
import {
  type CaseOutcome,
  type GuestKernel,
  judgeCheckpoint,
  observeCheckpoint,
  type StopOutcome,
  unjudged,
} from "./observe_checkpoint.ts";
import { awaitConditions } from "./prepare_target.ts";

/** Calls for each target that is killed. */
const CALLS_A_KILL = 20;
const DEADLINE_MS = 120_000;
/** Which outcomes come is chance: a race in which some outcome did not come is run again, so often at most. */
const MAX_ROUNDS = 10;

/**
 * Makes calls while others change their target, and holds each image against the one that was made before the race: all
 * of it must be of one moment.
 */
export async function runRace(
  { agent }: Pick<Guest, "agent">,
  { race, setup = [] }: Pick<Scenario, "setup"> & { readonly race: RaceScenario },
  kernel: GuestKernel,
): Promise<CaseOutcome> {
  await agent.clean();
  const undo = await setUpCase(agent, setup);
  const stops: StopOutcome[] = [];
  const outcomes = new Set<string>();
  const isKilled = race.meanwhile === "killed";
  const wanted = isKilled ? race.times : 1;
  const isWanted = (targets: number) =>
    targets < wanted || (targets < MAX_ROUNDS * wanted && missingOutcomes(race, outcomes).length > 0);
  for (let targets = 0; isWanted(targets) && isGood(stops); targets++) {
    const pid = await startTarget(agent, race);
    if (stops.length === 0 || !isKilled) {
      stops.push(
        await judgeCheckpoint("before", await observeCheckpoint(agent, { kernel, pid }), { kernel }),
      );
    }
    const answers = parseRaceCalls(
      await agent.race({
        ...{ nr: kernel.checkpointNr, pid, how: race.meanwhile, deadlineMs: DEADLINE_MS },
        times: isKilled ? CALLS_A_KILL : race.times,
        sharesProcessor: race.executes ? 1 : undefined,
        ...await memoryOf(agent, pid, race),
      }),
    );
    const split = { firstId: agent.lastId + 1, length: stops.at(-1)!.image.length, count: 2 * race.times };
    const calls = race.meanwhile === "shared" ? splitShared(answers, split) : answers;
    // A new program has other random numbers on its stack.
    const reference = race.executes || isKilled ? undefined : withoutStamps(readImage(stops.at(-1)!.image));
    for (const call of calls) {
      outcomes.add(nameOfCall(call));
      const findings = checkRaceCall(call, { race, reference, previousId: agent.lastId });
      if (call.result > 0n) agent.lastId = Number(call.result);
      if (findings.length > 0 && isGood(stops)) stops.push(unjudged("race", call.image, findings));
    }
  }
  await agent.clean();
  await undo();
  return { stops, findings: isGood(stops) ? missingOutcomes(race, outcomes) : [] };
}

function isGood(stops: readonly StopOutcome[]): boolean {
  return stops.every(({ findings }) => findings.length === 0);
}

function isAboutMemory(meanwhile: RaceScenario["meanwhile"]): boolean {
  return ["pagedout", "migrated", "swapping", "locked", "signalled"].includes(meanwhile);
}

async function startTarget(agent: GuestAgent, { executes, meanwhile }: RaceScenario): Promise<number> {
  const does = executes ? "executes" : isAboutMemory(meanwhile) ? "large" : "stops";
  const { pid } = await agent.exec(["/target", does]);
  const isStopped = { file: `/proc/${pid}/status`, matching: String.raw`^State:\sT` };
  await awaitConditions(agent, { pid, waitFor: [isStopped] });
  return pid;
}

/** The mapping that it is about: the largest that the target has written to. */
async function memoryOf(
  agent: GuestAgent,
  pid: number,
  { meanwhile }: RaceScenario,
): Promise<{ offset?: bigint; length?: bigint }> {
  if (!isAboutMemory(meanwhile)) return {};
  const maps = parseMaps((await agent.observe(pid, ["maps"])).get("maps")!);
  const own = maps.filter(({ perms, inode }) => perms.startsWith("rw") && inode === 0n);
  const { start, end } = own.toSorted((a, b) => Number((b.end - b.start) - (a.end - a.start)))[0]!;
  return { offset: start, length: end - start };
}
