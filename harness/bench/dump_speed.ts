// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../lib/abi/arch.ts";
import { compileScenario } from "../../lib/model/compile_scenario.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { encodeProgram } from "../../vm/agent/target_program.ts";
import { runGdb } from "../check/gcore.ts";
import type { Guest, GuestAgent } from "../run/guest/guest.ts";
import { wordBytes } from "../run/case/call_actions.ts";
import { installFiles } from "../run/guest/scenario_files.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";

/** Nanoseconds that one way took to write out a process's memory, and how much it wrote. */
interface DumpTiming {
  readonly way: "checkpoint" | "copy" | "gcore";
  readonly bytes: number;
  readonly nanoseconds: number;
}

/** A process with so many dirty pages. */
export function speedScenario(pages: number): Scenario {
  return {
    name: "dump_speed",
    about: "Many dirty pages, to be written out in more than one way.",
    judge: "gcore",
    steps: [
      { op: "mmap", area: "a", pages, prot: "rw" },
      { op: "write", area: "a", pages: "all" },
      { op: "stop", label: "stopped" },
    ],
  };
}

const IMAGE = "/work/image";
const COPY = "/work/copy";
const CORE = "/work/core";
const O_WRONLY_CREAT_TRUNC = 0o1101;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const PROT_READ_WRITE = 3;
const SEEK_END = 2;
const DEADLINE_MS = 120_000;

/**
 * Writes the memory of one stopped process to a tmpfs, in three ways that take turns: the system call; a copy
 * of the same pages through a buffer of the agent's, written by one write(2), which is the least that anybody
 * outside the kernel must do; and gdb's gcore, without the time that gdb takes to start and attach.
 */
export async function measureDumpSpeed(
  guest: Guest,
  prepared: PreparedGuest,
  { scenario, pages, rounds, withGdb }: {
    scenario: Scenario;
    pages: number;
    rounds: number;
    withGdb: boolean;
  },
): Promise<DumpTiming[]> {
  const { agent } = guest;
  const compiled = compileScenario(scenario, prepared.compileTarget);
  const area = compiled.stops[0]?.prediction.areas.find(({ label }) => label === "a");
  if (withGdb) await installFiles(agent, prepared.filesOf.get(scenario.name) ?? []);
  await agent.program(encodeProgram(compiled.ops));
  await agent.spawn();
  const { pid } = await agent.event({ deadlineMs: DEADLINE_MS });
  const address = BigInt(area!.start) * PAGE_SIZE_BIG;
  const timings: DumpTiming[] = [];
  for (let round = 0; round < rounds; round++) {
    timings.push(await timeCheckpoint(agent, { pid, nr: prepared.checkpointNr }));
    timings.push(await timeCopy(agent, { pid, address, bytes: pages * PAGE_SIZE }));
    if (withGdb) timings.push(await timeGcore(agent, pid));
  }
  return timings;
}

async function timeCheckpoint(
  agent: GuestAgent,
  { pid, nr }: { pid: number; nr: number },
): Promise<DumpTiming> {
  const { result: fd } = await agent.call("open", IMAGE, O_WRONLY_CREAT_TRUNC, 0o600);
  const { result, nanoseconds } = await agent.checkpoint({ nr, pid, fd, deadlineMs: DEADLINE_MS });
  await agent.call("close", fd);
  if (result < 0n) throw new Error(`the checkpoint to ${IMAGE} failed with ${result}`);
  return { way: "checkpoint", bytes: await sizeOf(agent, IMAGE), nanoseconds: Number(nanoseconds) };
}

/** The size of a file, which is removed. */
async function sizeOf(agent: GuestAgent, path: string): Promise<number> {
  const { result: fd } = await agent.call("open", path, 0, 0);
  const { result: size } = await agent.call("lseek", fd, 0, SEEK_END);
  await agent.call("close", fd);
  await agent.call("unlink", path);
  return size;
}

async function timeCopy(
  agent: GuestAgent,
  { pid, address, bytes }: { pid: number; address: bigint; bytes: number },
): Promise<DumpTiming> {
  const { wordSize } = agent.info;
  const mmap = wordSize === 4 ? "mmap2" : "mmap";
  const { result: buffer } = await agent.call(mmap, 0, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1n, 0);
  const { result: fd } = await agent.call("open", COPY, O_WRONLY_CREAT_TRUNC, 0o600);
  const [own, theirs] = [BigInt.asUintN(8 * wordSize, BigInt(buffer)), address]
    .map((start) => wordBytes(agent, start, BigInt(bytes)));
  const { monotonicNs: before } = await agent.time();
  const { result: read } = await agent.call("process_vm_readv", pid, own!, 1, theirs!, 1, 0);
  const { result: written } = await agent.call("write", fd, buffer, bytes);
  const { monotonicNs: after } = await agent.time();
  await agent.call("close", fd);
  await agent.call("munmap", buffer, bytes);
  if (read !== bytes || written !== read) throw new Error(`the copy came to ${written} of ${bytes} bytes`);
  return { way: "copy", bytes: await sizeOf(agent, COPY), nanoseconds: Number(after - before) };
}

async function timeGcore(agent: GuestAgent, pid: number): Promise<DumpTiming> {
  const time = async (commands: readonly string[]): Promise<bigint> => {
    const { monotonicNs: before } = await agent.time();
    const { ended, output } = await runGdb(agent, pid, commands);
    if (ended !== "status 0") throw new Error(`gdb in the guest ended with ${ended}: ${output.slice(-400)}`);
    return (await agent.time()).monotonicNs - before;
  };
  const without = await time([]);
  const whole = await time([`gcore ${CORE}`]);
  return { way: "gcore", bytes: await sizeOf(agent, CORE), nanoseconds: Number(whole - without) };
}

/** The timing in the middle of those of one way, by bytes a second; undefined when there is none. */
export function medianRate(timings: readonly DumpTiming[], way: DumpTiming["way"]): number | undefined {
  const rates = timings.filter((timing) => timing.way === way)
    .map(({ bytes, nanoseconds }) => bytes / (nanoseconds / 1e9)).toSorted((a, b) => a - b);
  return rates[rates.length >> 1];
}
