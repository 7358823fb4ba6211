// SPDX-License-Identifier: MIT

import { PAGE_SIZE, PAGE_SIZE_BIG } from "../../lib/abi/arch.ts";
import { SIGNALS } from "../../lib/abi/signals.ts";
import { compileScenario } from "../../lib/model/compile_scenario.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { encodeProgram } from "../../vm/agent/target_program.ts";
import { runGdb } from "../check/gcore.ts";
import type { Guest, GuestAgent } from "../run/guest/guest.ts";
import { wordBytes } from "../run/case/call_output.ts";
import { installFiles } from "../run/guest/scenario_files.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";

/** Bytes a second that each way wrote a process's memory at, or read it, round by round. */
type DumpRates = Record<"checkpoint" | "copy" | "gcore" | "restart" | "cat", number[]>;

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
/** What cat(1) reads at once. */
const CAT_BYTES = 256 * 1024;
/** How many such a call reads: the agent takes no more. */
const VECTORS = 64;
const DEADLINE_MS = 120_000;

/**
 * Writes the memory of one stopped process to a tmpfs, in three ways that take turns: the system call; a copy
 * of the same pages through a buffer of the agent's, written by one write(2), which is the least that anybody
 * outside the kernel must do; and gdb's gcore, without the time that gdb takes to start and attach. From each image
 * another process is restarted, which is killed before it runs; and the image is read as `cat` reads it.
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
  const rates: DumpRates = { checkpoint: [], copy: [], gcore: [], restart: [], cat: [] };
  for (let round = 0; round < rounds; round++) {
    const { size, rate } = await checkpointTo(agent, { pid, nr: prepared.checkpointNr });
    rates.checkpoint.push(rate);
    rates.cat.push(size / seconds(await elapsed(agent, () => readImage(agent, size))));
    rates.restart.push(size / seconds(await elapsed(agent, () => restartImage(agent))));
    await agent.call("unlink", IMAGE);
    rates.copy.push(await rateOfCopy(agent, { pid, address, bytes: pages * PAGE_SIZE }));
    if (withGdb) rates.gcore.push(await rateOfGcore(agent, pid));
  }
  return rates;
}

function seconds(nanoseconds: bigint): number {
  return Number(nanoseconds) / 1e9;
}

async function sizeOf(agent: GuestAgent, path: string): Promise<number> {
  const { result: fd } = await agent.call("open", path, 0, 0);
  const { result: size } = await agent.call("lseek", fd, 0, SEEK_END);
  await agent.call("close", fd);
  return size;
}

/** How fast a file was written, which is removed. */
async function rateOf(agent: GuestAgent, path: string, nanoseconds: bigint): Promise<number> {
  const size = await sizeOf(agent, path);
  await agent.call("unlink", path);
  return size / seconds(nanoseconds);
}

async function elapsed(agent: GuestAgent, work: () => Promise<void>): Promise<bigint> {
  const { monotonicNs: before } = await agent.time();
  await work();
  return (await agent.time()).monotonicNs - before;
}

async function checkpointTo(
  agent: GuestAgent,
  { pid, nr }: { pid: number; nr: number },
): Promise<{ size: number; rate: number }> {
  const { result: fd } = await agent.call("open", IMAGE, O_WRONLY_CREAT_TRUNC, 0o600);
  const { result, nanoseconds } = await agent.checkpoint({ nr, pid, fd, deadlineMs: DEADLINE_MS });
  await agent.call("close", fd);
  if (result < 0n) throw new Error(`the checkpoint to ${IMAGE} failed with ${result}`);
  const size = await sizeOf(agent, IMAGE);
  return { size, rate: size / seconds(BigInt(nanoseconds)) };
}

/** Few calls of readv(2) into the same pages over and over: what `cat` does, without its many. */
async function readImage(agent: GuestAgent, size: number): Promise<void> {
  const { result: fd } = await agent.call("open", IMAGE, 0, 0);
  const buffer = await mapBuffer(agent, CAT_BYTES);
  const part = [BigInt.asUintN(8 * agent.info.wordSize, BigInt(buffer)), BigInt(CAT_BYTES)];
  const vectors = wordBytes(agent, ...Array.from({ length: VECTORS }, () => part).flat());
  let read = 0;
  for (let count = -1; count !== 0; read += count) {
    count = (await agent.call("readv", fd, vectors, VECTORS)).result;
  }
  if (read !== size) throw new Error(`${read} of the ${size} bytes of ${IMAGE} were read`);
  await agent.call("munmap", buffer, CAT_BYTES);
  await agent.call("close", fd);
}

async function restartImage(agent: GuestAgent): Promise<void> {
  const { pid, result } = await agent.restart({ image: IMAGE });
  if (result !== 0n) throw new Error(`the restart from ${IMAGE} failed with ${result}`);
  await agent.signal(pid, SIGNALS.SIGKILL);
}

async function mapBuffer(agent: GuestAgent, bytes: number): Promise<number> {
  const mmap = agent.info.wordSize === 4 ? "mmap2" : "mmap";
  const flags = MAP_PRIVATE_ANONYMOUS;
  return (await agent.call(mmap, 0, bytes, PROT_READ_WRITE, flags, -1n, 0)).result;
}

async function rateOfCopy(
  agent: GuestAgent,
  { pid, address, bytes }: { pid: number; address: bigint; bytes: number },
): Promise<number> {
  const { wordSize } = agent.info;
  const buffer = await mapBuffer(agent, bytes);
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
