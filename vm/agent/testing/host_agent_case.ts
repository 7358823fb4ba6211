// SPDX-License-Identifier: MIT
import type { TargetOp } from "../../../lib/model/target_op.ts";
import { type AgentSession } from "../agent_session.ts";
import { decodeResults, encodeProgram, type TargetResult } from "../target_program.ts";
import { canStartHostAgent, startHostAgent } from "./host_agent.ts";
import type { TargetEvent } from "../agent_types.ts";

// The agent and the target as real processes, on this machine's kernel: all but the boot and the call
// under test.

/** What agent and target are built for. */
export const ARCHES = ["x86_64", "i386"] as const;
/** One of them. */
export type Arch = typeof ARCHES[number];
/** Numbers of the system calls that the tests make. */
export const NR = {
  x86_64: { kill: 62, brk: 12, mmap: 9, modifyLdt: 154, mprotect: 10, exit: 231 },
  i386: { kill: 37, brk: 45, mmap: 192, modifyLdt: 123, mprotect: 125, exit: 252 },
};
/** Where tests map memory. */
export const AREA = 0x10000000n;

/** A test of the agent and target of each architecture. */
export function agentTest(name: string, work: (session: AgentSession, arch: Arch) => Promise<void>): void {
  for (const arch of ARCHES) {
    Deno.test({
      name: `agent and target, ${arch}: ${name}`,
      // Namespaces and mounts are for root.
      ignore: !canStartHostAgent(),
      async fn() {
        await using agent = await startHostAgent(arch);
        await work(agent.session, arch);
      },
    });
  }
}

/** Maps memory at {@linkcode AREA}. */
export function mapArea(arch: Arch, bytes = 0x10000n): TargetOp {
  return { op: "syscall", nr: NR[arch].mmap, args: [AREA, bytes, 3n, 0x32n, (1n << 64n) - 1n, 0n] };
}

/** Runs a program to its end; gives its results. */
export async function runToEnd(session: AgentSession, ops: TargetOp[]): Promise<readonly TargetResult[]> {
  await session.program(encodeProgram(ops));
  const pid = await session.spawn();
  const end = await session.event();
  if (end.kind !== "exit" || end.pid !== pid || end.code !== 0) {
    throw new Error(`expected process ${pid} to exit with 0: found ${JSON.stringify(end)}`);
  }
  const { results, complete } = decodeResults(ops, await session.results());
  if (!complete) throw new Error("the target's results are cut");
  return results;
}

/** Runs a program up to its first stop. */
export async function runToStop(
  session: AgentSession,
  ops: TargetOp[],
): Promise<Extract<TargetEvent, { kind: "stop" }>> {
  await session.program(encodeProgram(ops));
  await session.spawn();
  const event = await session.event();
  if (event.kind !== "stop") throw new Error(`expected a stop: found ${event.kind}`);
  return event;
}

/** The state of a process, as /proc/PID/status words it. */
export async function stateOf(session: AgentSession, pid: number): Promise<string | undefined> {
  const status = new TextDecoder().decode((await session.observe(pid, ["status"])).get("status"));
  return /^State:\t(\S)/m.exec(status)?.[1];
}

/**
 * Whether a process is seen in a state within 20 seconds. One look decides: it may wake up for a moment later.
 */
export async function comesToState(session: AgentSession, pid: number, state: string): Promise<boolean> {
  const end = performance.now() + 20_000;
  while (performance.now() < end) {
    if (await stateOf(session, pid) === state) return true;
    await new Promise((done) => setTimeout(done, 1));
  }
  return false;
}

/** A struct user_desc for modify_ldt: a data segment, 32-bit, limit in pages. */
export function userDescriptor(entry: number, base: number, limit: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(entry, base, limit, 1 | 1 << 4 | 1 << 6).buffer);
}
