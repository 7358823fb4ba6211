// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../lib/abi/arch.ts";
import { compileScenario } from "../../lib/model/compile_scenario.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { encodeProgram } from "../../vm/agent/target_program.ts";
import { runGdb } from "../check/gcore.ts";
import type { Guest, GuestAgent } from "../run/guest/guest.ts";
import { wordBytes } from "../run/case/call_output.ts";
import { installFiles } from "../run/guest/scenario_files.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";

/** Bytes a second that each way wrote a process's memory at, round by round. */
type DumpRates = Record<"checkpoint" | "copy" | "gcore", number[]>;

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
): Promise<DumpRates> {
  const { agent } = guest;
  const compiled = compileScenario(scenario, prepared.compileTarget);
  const area = compiled.stops[0]?.prediction.areas.find(({ label }) => label === "a");
  if (withGdb) await installFiles(agent, prepared.filesOf.get(scenario.name) ?? []);
  await agent.program(encodeProgram(compiled.ops));
  await agent.spawn();
  const { pid } = await agent.event({ deadlineMs: DEADLINE_MS });
  const address = BigInt(area!.start) * PAGE_SIZE_BIG;
  const rates: DumpRates = { checkpoint: [], copy: [], gcore: [] };
  for (let round = 0; round < rounds; round++) {
    rates.checkpoint.push(await rateOfCheckpoint(agent, { pid, nr: prepared.checkpointNr }));
    rates.copy.push(await rateOfCopy(agent, { pid, address, bytes: pages * PAGE_SIZE }));
    if (withGdb) rates.gcore.push(await rateOfGcore(agent, pid));
  }
  return rates;
}

/** How fast a file was written, which is removed. */
async function rateOf(agent: GuestAgent, path: string, nanoseconds: bigint): Promise<number> {
  const { result: fd } = await agent.call("open", path, 0, 0);
  const { result: size } = await agent.call("lseek", fd, 0, SEEK_END);
  await agent.call("close", fd);
  await agent.call("unlink", path);
  return size / (Number(nanoseconds) / 1e9);
}

async function elapsed(agent: GuestAgent, work: () => Promise<void>): Promise<bigint> {
  const { monotonicNs: before } = await agent.time();
  await work();
  return (await agent.time()).monotonicNs - before;
}

async function rateOfCheckpoint(
  agent: GuestAgent,
  { pid, nr }: { pid: number; nr: number },
): Promise<number> {
  const { result: fd } = await agent.call("open", IMAGE, O_WRONLY_CREAT_TRUNC, 0o600);
  const { result, nanoseconds } = await agent.checkpoint({ nr, pid, fd, deadlineMs: DEADLINE_MS });
  await agent.call("close", fd);
  if (result < 0n) throw new Error(`the checkpoint to ${IMAGE} failed with ${result}`);
  return await rateOf(agent, IMAGE, BigInt(nanoseconds));
}

async function rateOfCopy(
  agent: GuestAgent,
  { pid, address, bytes }: { pid: number; address: bigint; bytes: number },
): Promise<number> {
  const { wordSize } = agent.info;
  const mmap = wordSize === 4 ? "mmap2" : "mmap";
  const { result: buffer } = await agent.call(mmap, 0, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1n, 0);
  const { result: fd } = await agent.call("open", COPY, O_WRONLY_CREAT_TRUNC, 0o600);
  const [own, theirs] = [BigInt.asUintN(8 * wordSize, BigInt(buffer)), address]
    .map((start) => wordBytes(agent, start, BigInt(bytes)));
  const nanoseconds = await elapsed(agent, async () => {
    const { result: read } = await agent.call("process_vm_readv", pid, own!, 1, theirs!, 1, 0);
    const { result: written } = await agent.call("write", fd, buffer, bytes);
    if (read !== bytes || written !== read) throw new Error(`the copy came to ${written} of ${bytes} bytes`);
  });
  await agent.call("close", fd);
  await agent.call("munmap", buffer, bytes);
  return await rateOf(agent, COPY, nanoseconds);
}

async function rateOfGcore(agent: GuestAgent, pid: number): Promise<number> {
  const time = (commands: readonly string[]): Promise<bigint> =>
    elapsed(agent, async () => {
      const { ended, output } = await runGdb(agent, pid, commands);
      if (ended !== "status 0") {
        throw new Error(`gdb in the guest ended with ${ended}: ${output.slice(-400)}`);
      }
    });
  const without = await time([]);
  return await rateOf(agent, CORE, await time([`gcore ${CORE}`]) - without);
}
