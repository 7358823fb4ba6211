// SPDX-License-Identifier: MIT

import { placeOf } from "../../../lib/compare/expected_memory.ts";
import { parseMaps } from "../../../lib/compare/proc_maps.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import { errnoName } from "../../../lib/abi/errno.ts";
import { busyOf, type TracerWork } from "../../../lib/model/tracer.ts";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import type { TargetEvent } from "../../../vm/agent/agent_types.ts";
import { RELEASE_OFFSET } from "../../../vm/agent/target_program.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { awaitConditions } from "./stop_conditions.ts";

/** How the agent attaches. */
const ATTACH = { traced: "seize", attached: "attach", stepped: "singlestep" } as const;
const CGROUPS = "/cgroup";
const GROUP = `${CGROUPS}/held`;
const EBUSY = 16;

/** A target that is held as a stop wants it. */
export interface HeldTarget {
  /** What did not come to be. */
  readonly findings: readonly Finding[];
  /** Takes breakpoints out, lets go of the target, and lets it run on. */
  readonly release: () => Promise<void>;
}

/**
 * Does what a stop says of a tracer and other holders: sets debug registers, writes to memory, and holds the
 * target in the way that is wanted, instead of by its SIGSTOP alone.
 *
 * @param event the target's stop, or its word that it goes on in another way
 */
export async function holdTarget(
  agent: GuestAgent,
  event: Extract<TargetEvent, { kind: "stop" }>,
  work: TracerWork,
): Promise<HeldTarget> {
  const { pid } = event;
  const findings: Finding[] = [];
  for (const { register, value, errno } of work.debug) {
    const actual = await agent.setDebugRegister(pid, register, value);
    if (actual !== errno) findings.push(debugFinding(register, value, [errno, actual]));
  }
  for (const { address, bytes } of work.pokes) await agent.poke(pid, address, bytes);
  const restore = await pokeCopied(agent, pid, work);
  const { findings: unmet, release } = await hold(agent, event, work);
  return {
    findings: [...findings, ...unmet],
    async release() {
      for (const { address, bytes } of restore) await agent.poke(pid, address, bytes);
      await release();
    },
  };
}

/** Sets breakpoints outside of all areas; gives what takes them out again. */
async function pokeCopied(
  agent: GuestAgent,
  pid: number,
  { copied }: TracerWork,
): Promise<{ address: bigint; bytes: Uint8Array }[]> {
  if (copied.length === 0) return [];
  const maps = parseMaps((await agent.observe(pid, ["maps"])).get("maps")!);
  const restore: { address: bigint; bytes: Uint8Array }[] = [];
  for (const { place, offset, bytes } of copied) {
    const start = placeOf(place, maps);
    // A target without such a mapping is told by the comparison.
    if (start === undefined || !bytes) continue;
    const address = start + BigInt(offset);
    restore.unshift({ address, bytes: await agent.poke(pid, address, bytes) });
  }
  return restore;
}

interface Held {
  readonly findings: readonly Finding[];
  readonly release: () => Promise<void>;
}

async function hold(
  agent: GuestAgent,
  { pid, scratch }: Extract<TargetEvent, { kind: "stop" }>,
  { hold }: TracerWork,
): Promise<Held> {
  const busy = busyOf(hold);
  if (busy) {
    const state = { "running": "R", "sleeping": "S", vfork: "D" }[busy];
    return {
      findings: await awaitState(agent, pid, state),
      release: async () => void await agent.poke(pid, scratch + BigInt(RELEASE_OFFSET), Uint8Array.of(1)),
    };
  }
  switch (hold) {
    case "traced":
    case "attached":
    case "stepped":
      await agent.attach(pid, ATTACH[hold]);
      return {
        findings: await awaitState(agent, pid, "t"),
        async release() {
          await agent.detach(pid);
          await agent.cont(pid);
        },
      };
    case "frozen":
    case "frozen and stopped":
      return await freeze(agent, pid, hold);
    default:
      return { findings: [], release: () => agent.cont(pid) };
  }
}

/** Freezes the target by the cgroup v2 freezer. One that is not to be stopped goes on into the freezer. */
async function freeze(agent: GuestAgent, pid: number, hold: "frozen" | "frozen and stopped"): Promise<Held> {
  await mountCgroups(agent);
  await agent.mkdir(GROUP);
  await agent.writeFile(`${GROUP}/cgroup.procs`, String(pid));
  await agent.writeFile(`${GROUP}/cgroup.freeze`, "1");
  if (hold === "frozen") await agent.cont(pid);
  const isFrozen = { file: `${GROUP}/cgroup.events`, matching: "^frozen 1$" };
  const state = hold === "frozen" ? "S" : "T";
  return {
    findings: [
      ...await awaitState(agent, pid, state),
      ...await awaitConditions(agent, { pid, waitFor: [isFrozen], waitsForMerge: false }),
    ],
    async release() {
      // Out of its group a process is thawed, and may end at once.
      await agent.writeFile(`${CGROUPS}/cgroup.procs`, String(pid));
      await agent.writeFile(`${GROUP}/cgroup.freeze`, "0");
      if (hold !== "frozen") await agent.cont(pid);
    },
  };
}

/** Mounts the cgroup v2 hierarchy where nothing else looks, unless that was done before in this guest. */
async function mountCgroups(agent: GuestAgent): Promise<void> {
  await agent.mkdir(CGROUPS);
  try {
    await agent.mount({ type: "cgroup2", directory: CGROUPS });
  } catch (error) {
    if (!(error instanceof AgentError) || error.errno !== EBUSY) throw error;
  }
}

function awaitState(agent: GuestAgent, pid: number, state: string): Promise<Finding[]> {
  const waitFor = [{ file: `/proc/${pid}/status`, matching: `^State:\\s${state}` }];
  return awaitConditions(agent, { pid, waitFor, waitsForMerge: false });
}

function debugFinding(register: number, value: bigint, [expected, actual]: [number, number]): Finding {
  const show = (errno: number): string => errno === 0 ? "success" : errnoName(errno);
  return {
    id: "E_DEBUG_REGISTER",
    verdict: "mismatch",
    path: `debug register ${register}`,
    message: `PTRACE_POKEUSER of 0x${value.toString(16)} has another outcome than the model predicts`,
    expected: show(expected),
    actual: show(actual),
  };
}
