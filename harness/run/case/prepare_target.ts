// SPDX-License-Identifier: MIT

import { delay } from "../../../vm/host/deadline.ts";
import { ERRNO, errnoName } from "../../../lib/abi/errno.ts";
import { SIGNALS } from "../../../lib/abi/signals.ts";
import { parseMaps, placeOf } from "../../../lib/compare/proc_maps.ts";
import { type Finding, mismatch } from "../../../lib/image/finding.ts";
import type { TracerWork } from "../../../lib/model/tracer.ts";
import { AgentError } from "../../../vm/agent/agent_session.ts";
import type { MountOptions, TargetEvent } from "../../../vm/agent/agent_types.ts";
import { RELEASE_OFFSET } from "../../../vm/agent/target_program.ts";
import type { GuestAgent } from "../guest/guest.ts";
import type { WaitCondition } from "../../../lib/model/scenario.ts";

const CGROUPS = "/cgroup";
const GROUP = `${CGROUPS}/frozen`;
/** What registers that a tracer has set hold afterwards; of the flags IF and the bit that is always set. */
const PLAIN = { flags: 0x202n, fs: 0n, ax: 0n };
/** The stack segment of programs, by the kernel's word size. */
const STACK_SEGMENT = { 8: 0x2bn, 4: 0x7bn } as const;
const LEGACY_FREEZER = "/freezer";
const LEGACY_GROUP = `${LEGACY_FREEZER}/frozen`;
const BUSY_STATES = { running: "R", sleeping: "S", vfork: "D", frozen: "S", "exited leader": "Z" } as const;

interface PreparedTarget {
  readonly findings: readonly Finding[];
  /** Takes breakpoints out, lets go of the target, and lets it run on: in another process, where it was restarted. */
  readonly release: (restarted?: number) => Promise<void>;
  readonly forget: () => Promise<void>;
}

type Stopped = Omit<PreparedTarget, "forget"> & Partial<Pick<PreparedTarget, "forget">>;

/**
 * Does what a stop says of tracers, and of what stops the target in place of its SIGSTOP alone: sets debug registers,
 * writes to memory, traces or freezes.
 *
 * @param event the target's stop, or its word that it goes on in another way
 */
export async function prepareTarget(
  agent: GuestAgent,
  event: Extract<TargetEvent, { kind: "stop" }>,
  work: TracerWork,
): Promise<PreparedTarget> {
  const { pid } = event;
  const findings: Finding[] = [];
  for (const { register, value, errno } of work.debug) {
    const actual = await agent.setRegister(pid, register, value);
    if (actual !== errno) findings.push(debugFinding(register, value, [errno, actual]));
  }
  for (const { address, bytes } of work.pokes) await agent.poke(pid, address, bytes);
  const restore = await pokeCopied(agent, pid, work);
  const stopped = await bringToStop(agent, event, work);
  // Last: a target that runs on to another stop loads selectors anew.
  for (const [register, value] of work.set) await agent.setRegister(pid, register, value);
  const { forget = () => Promise.resolve() } = stopped;
  return {
    findings: [...findings, ...stopped.findings],
    async release(restarted) {
      const to = restarted ?? pid;
      for (const { address, bytes } of restore) await agent.poke(to, address, bytes);
      for (const [register] of work.set) {
        const plain = { ...PLAIN, ss: STACK_SEGMENT[agent.info.wordSize] };
        await agent.setRegister(to, register, plain[register]);
      }
      if (restarted === undefined) return await stopped.release();
      await forget();
      await agent.cont(restarted);
    },
    forget,
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

/** Stops the target as it is wanted, or waits until it is as busy as it is wanted. */
async function bringToStop(
  agent: GuestAgent,
  { pid, scratch }: Extract<TargetEvent, { kind: "stop" }>,
  { busy, stoppedBy }: TracerWork,
): Promise<Stopped> {
  if (busy) {
    const asleep = await awaitState(agent, pid, BUSY_STATES[busy]);
    const frozen = busy === "frozen" ? await freezeInCall(agent, pid) : undefined;
    return {
      findings: [...asleep, ...frozen?.findings ?? []],
      async release() {
        // A leader that has ended has no memory any more.
        if (busy === "exited leader") await agent.cont(pid);
        else await wake(agent, { scratch }, pid);
        await frozen?.release();
      },
    };
  }
  switch (stoppedBy) {
    case "signal":
      return { findings: [], release: () => agent.cont(pid) };
    case "signal in a call": {
      const asleep = await awaitState(agent, pid, "S");
      await agent.signal(pid, SIGNALS.SIGSTOP);
      const findings = [...asleep, ...await awaitState(agent, pid, "T")];
      // Its image says so, too: whoever is restarted from it can go on at once.
      await wake(agent, { scratch }, pid);
      return { findings, release: () => agent.cont(pid) };
    }
    case "seize":
    case "attach":
    case "unread":
    case "unread event":
    case "singlestep":
      await agent.attach(pid, stoppedBy);
      return {
        findings: await awaitState(agent, pid, "t"),
        async release() {
          await agent.detach(pid);
          await agent.cont(pid);
        },
      };
    case "freezer":
    case "freezer and signal":
      return await freeze(agent, pid, stoppedBy === "freezer and signal");
  }
}

/** Has a target find its word to go on. */
async function wake(
  agent: GuestAgent,
  { scratch }: Pick<Extract<TargetEvent, { kind: "stop" }>, "scratch">,
  pid: number,
): Promise<void> {
  await agent.poke(pid, scratch + BigInt(RELEASE_OFFSET), Uint8Array.of(1));
}

/** Freezes the target by the cgroup v2 freezer. One that is not to be stopped goes on into the freezer. */
async function freeze(agent: GuestAgent, pid: number, isStopped: boolean): Promise<Stopped> {
  await mountCgroups(agent, { type: "cgroup2", directory: CGROUPS });
  await agent.mkdir(GROUP);
  await agent.writeFile(`${GROUP}/cgroup.procs`, String(pid));
  await agent.writeFile(`${GROUP}/cgroup.freeze`, "1");
  if (!isStopped) await agent.cont(pid);
  const isFrozen = { file: `${GROUP}/cgroup.events`, matching: "^frozen 1$" };
  const forget = () => agent.writeFile(`${GROUP}/cgroup.freeze`, "0");
  return {
    findings: [
      ...await awaitState(agent, pid, isStopped ? "T" : "S"),
      ...await awaitConditions(agent, { pid, waitFor: [isFrozen] }),
    ],
    async release() {
      // Out of its group a process is thawed, and may end at once.
      await agent.writeFile(`${CGROUPS}/cgroup.procs`, String(pid));
      await forget();
      if (isStopped) await agent.cont(pid);
    },
    forget,
  };
}

/** Freezes the target where it is: the freezer of cgroup v1 waits for no end of a system call. */
async function freezeInCall(agent: GuestAgent, pid: number): Promise<Stopped> {
  await mountCgroups(agent, { type: "cgroup", directory: LEGACY_FREEZER, data: "freezer" });
  await agent.mkdir(LEGACY_GROUP);
  await agent.writeFile(`${LEGACY_GROUP}/cgroup.procs`, String(pid));
  await agent.writeFile(`${LEGACY_GROUP}/freezer.state`, "FROZEN");
  const isFrozen = { file: `${LEGACY_GROUP}/freezer.state`, matching: "^FROZEN$" };
  return {
    findings: await awaitConditions(agent, { pid, waitFor: [isFrozen] }),
    async release() {
      await agent.writeFile(`${LEGACY_GROUP}/freezer.state`, "THAWED");
      await agent.writeFile(`${LEGACY_FREEZER}/cgroup.procs`, String(pid));
    },
  };
}

/** Mounts a cgroup hierarchy where nothing else looks, unless that was done before in this guest. */
async function mountCgroups(agent: GuestAgent, options: MountOptions): Promise<void> {
  await agent.mkdir(options.directory);
  try {
    await agent.mount(options);
  } catch (error) {
    if (!(error instanceof AgentError) || error.errno !== ERRNO.EBUSY) throw error;
  }
}

function awaitState(agent: GuestAgent, pid: number, state: string): Promise<Finding[]> {
  const waitFor = [{ file: `/proc/${pid}/status`, matching: `^State:\\s${state}` }];
  return awaitConditions(agent, { pid, waitFor });
}

function debugFinding(register: number, value: bigint, [expected, actual]: [number, number]): Finding {
  const show = (errno: number): string => errno === 0 ? "success" : errnoName(errno);
  return mismatch("E_DEBUG_REGISTER", {
    path: `debug register ${register}`,
    message: `PTRACE_POKEUSER of 0x${value.toString(16)} has another outcome than the model predicts`,
    expected: show(expected),
    actual: show(actual),
  });
}

const DEADLINE_MS = 10_000;
const PAUSE_MS = 20;
const KSM_SCANS = "/sys/kernel/mm/ksm/full_scans";

/**
 * How many whole scans make sure that everything mergeable is merged: one that notes each page's checksum,
 * one that finds it unchanged and looks for its like, and the one under way when the wait begins.
 */
const SCANS_TO_MERGE = 3;

interface WaitOptions {
  readonly pid: number;
  readonly waitFor?: readonly WaitCondition[];
  readonly waitsForMerge?: boolean;
  readonly deadlineMs?: number;
}

/** Waits, within bounds, until what a stop wants is so. What does not come true is a finding. */
export async function awaitConditions(agent: GuestAgent, options: WaitOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  const { pid, waitFor = [], waitsForMerge = false, deadlineMs = DEADLINE_MS } = options;
  if (waitsForMerge) {
    const scans = async (): Promise<number> => Number(await read(agent, KSM_SCANS));
    const wanted = await scans() + SCANS_TO_MERGE;
    if (!await holds(async () => await scans() >= wanted, deadlineMs)) {
      findings.push(finding(KSM_SCANS, `at least ${wanted}`, await read(agent, KSM_SCANS)));
    }
  }
  for (const check of waitFor) {
    const path = check.file.replaceAll("{pid}", String(pid));
    let text = "";
    const isSo = async (): Promise<boolean> => meets(text = await read(agent, path), check);
    if (!await holds(isSo, deadlineMs)) {
      const wanted = [
        ...check.matching === undefined ? [] : [`/${check.matching}/`],
        ...check.notMatching === undefined ? [] : [`no /${check.notMatching}/`],
      ];
      findings.push(finding(path, wanted.join(" and "), aboutPattern(text, wanted[0] ?? "")));
    }
  }
  return findings;
}

/** The lines of a text that have the first word of a pattern, each once, or its first lines. */
function aboutPattern(text: string, pattern: string): string {
  const lines = text.split("\n");
  const word = /\w{3,}/.exec(pattern)?.[0];
  const about = word === undefined ? [] : lines.filter((line) => line.includes(word));
  return [...new Set(about.length > 0 ? about : lines)].join("\n").slice(0, 400);
}

/** Whether a text is as a check wants it. */
export function meets(text: string, { matching, notMatching }: WaitCondition): boolean {
  return (matching === undefined || new RegExp(matching, "m").test(text)) &&
    (notMatching === undefined || !new RegExp(notMatching, "m").test(text));
}

async function read(agent: GuestAgent, path: string): Promise<string> {
  return new TextDecoder().decode(await agent.readFile(path)).trim();
}

async function holds(condition: () => Promise<boolean>, deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  while (!await condition()) {
    if (performance.now() > end) return false;
    await delay(PAUSE_MS);
  }
  return true;
}

function finding(path: string, expected: string, actual: string): Finding {
  const message = "what the scenario is about did not come to be, within bounds";
  return mismatch("E_SETUP", { path, message, expected, actual });
}
