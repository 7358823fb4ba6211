// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { TargetOp } from "../../lib/model/target_op.ts";
import { programClosure } from "../initramfs/program_closure.ts";
import { AgentError, type AgentSession } from "./agent_session.ts";
import { decodeResults, RELEASE_OFFSET } from "./target_program.ts";
import { canStartHostAgent, startHostAgent } from "./testing/host_agent.ts";
import { agentTest, comesToState, NR, runToStop, userDescriptor } from "./testing/host_agent_case.ts";

// Calls that the agent has a stopped process make (vm/guest/agent/inject.c).

/** Break and LDT of a stopped target, as it tells them itself. */
async function callsOf(session: AgentSession, pid: number): Promise<{ brk: bigint; ldt: Uint8Array }> {
  const found = await session.registers(pid, { calls: true });
  return { brk: new DataView(found.get("brk")!.buffer).getBigUint64(0, true), ldt: found.get("ldt")! };
}

/** All that can be seen of a process, but for how often it was switched and how long it ran. */
async function seenOf(session: AgentSession, pid: number): Promise<unknown[]> {
  const registers = await session.registers(pid);
  // Whether a processor counts SSE registers that are all zero as in use is its own affair (XINUSE, SDM 1, 13.6).
  const xstate = registers.get("xstate");
  if (xstate !== undefined && xstate.length > 512) xstate[512]! &= ~2;
  const files = await session.observe(pid, ["maps", "pages", "syscall", "smaps", "status", "auxv"]);
  const status = new TextDecoder().decode(files.get("status"));
  files.delete("status");
  return [
    status.replace(/^(\w*ctxt_switches|VmPeak|VmHWM|SigQ):.*$/gm, ""),
    ...files,
    ...registers,
  ];
}

agentTest(
  "a stopped target tells its break and its LDT, and nothing of that is to be seen",
  async (session, arch) => {
    const modifyLdt = NR[arch].modifyLdt;
    const nr = arch === "i386" ? { brk: 45, sigprocmask: 175 } : { brk: 12, sigprocmask: 14 };
    const ops: TargetOp[] = [
      { op: "syscall", nr: nr.brk, args: [0n], keep: 1 },
      { op: "stop", label: 0, killNr: NR[arch].kill },
      { op: "data", offset: 0, bytes: userDescriptor(2, 0x1234, 0x777) },
      { op: "syscall", nr: modifyLdt, args: [0x11n, { scratch: 0 }, 16n] },
      { op: "stop", label: 1, killNr: NR[arch].kill, registers: 1024 },
      { op: "data", offset: 0, bytes: userDescriptor(8191, 0, 0xfffff) },
      { op: "syscall", nr: modifyLdt, args: [0x11n, { scratch: 0 }, 16n] },
      { op: "syscall", nr: modifyLdt, args: [0n, { scratch: 0 }, 65536n] },
      { op: "report", address: { scratch: 0 }, length: 65536 },
      { op: "stop", label: 2, killNr: NR[arch].kill },
      { op: "syscall", nr: nr.brk, args: [0n] },
    ];
    const empty = await runToStop(session, ops);
    const { pid } = empty;
    // Everything is read twice, since reading smaps or memory may itself bring a page in.
    await seenOf(session, pid);
    const before = await seenOf(session, pid);
    const first = await callsOf(session, pid);
    assertEquals(await seenOf(session, pid), before);
    assertEquals(first.ldt.length, 0);
    await session.cont(pid);
    await session.event();
    await seenOf(session, pid);
    const withLdt = await seenOf(session, pid);
    const second = await callsOf(session, pid);
    assertEquals(await seenOf(session, pid), withLdt);
    // Two empty entries, then base 0x1234 and limit 0x777, as the processor has them.
    assertEquals(second.ldt.toHex(), `${"00".repeat(16)}77073412${second.ldt.slice(20).toHex()}`);
    assertEquals(second.ldt.length, 24);
    await session.cont(pid);
    await session.event();
    const full = await callsOf(session, pid);
    await session.cont(pid);
    assertEquals((await session.event()).kind, "exit");
    const { results } = decodeResults(ops, await session.results());
    assertEquals(full.ldt, results.find(({ bytes }) => bytes)?.bytes);
    for (const { brk } of [first, second, full]) assertEquals(brk, results[0]!.value);
    assertEquals(results.at(-1)!.value, results[0]!.value);
  },
);

agentTest(
  "signals that wait for a stopped target wait on when it has told its break",
  async (session, arch) => {
    const [SIGUSR1, SIGUSR2] = [10, 12];
    const nr = arch === "i386" ? 175 : 14; // rt_sigprocmask
    const mask = new Uint8Array(8);
    mask[1] = 1 << (SIGUSR1 - 9);
    const { pid } = await runToStop(session, [
      { op: "data", offset: 0, bytes: mask },
      { op: "syscall", nr, args: [0n, { scratch: 0 }, 0n, 8n] },
      { op: "stop", label: 0, killNr: NR[arch].kill },
      { op: "stop", label: 1, killNr: NR[arch].kill },
    ]);
    // One that is blocked, and one that ends the target when it goes on.
    await session.signal(pid, SIGUSR1);
    await session.signal(pid, SIGUSR2);
    await seenOf(session, pid);
    const before = await seenOf(session, pid);
    assertStringIncludes(String(before[0]), "ShdPnd:\t0000000000000a00");
    await callsOf(session, pid);
    assertEquals(await seenOf(session, pid), before);
    await session.cont(pid);
    const end = await session.event();
    assertEquals(end, { kind: "signal", pid, signal: SIGUSR2 });
  },
);

agentTest("a target is not asked where that could be seen", async (session, arch) => {
  const isAsked = async (pid: number) => (await session.registers(pid, { calls: true })).has("brk");
  const { kill } = NR[arch];
  const { pid } = await runToStop(session, [
    { op: "stop", label: 0, killNr: kill },
    { op: "stop", label: 1, killNr: kill, busy: "sleeping" },
  ]);
  assertEquals(await isAsked(pid), true);
  // A breakpoint that is on may be one for the instruction, or for memory that a call would touch.
  assertEquals(await session.setRegister(pid, 7, 0x401n), 0);
  assertEquals(await isAsked(pid), false, "breakpoint");
  assertEquals(await session.setRegister(pid, 7, 0n), 0);
  assertEquals(await isAsked(pid), true);
  for (const how of ["seize", "attach"] as const) {
    await session.attach(pid, how);
    assertEquals(await isAsked(pid), false, how);
    await session.detach(pid);
  }
  // The SIGSTOP of PTRACE_ATTACH waits for the target to go on.
  assertEquals(await isAsked(pid), false, "a signal that cannot be blocked");
  await session.cont(pid);
  const busy = await session.event();
  assert(busy.kind === "stop");
  assertEquals(await isAsked(pid), false, "busy");
});

async function askSleeper(session: AgentSession): Promise<void> {
  await session.mkdir("/bin");
  await session.writeFile("/bin/sleep", await Deno.readFile("/bin/sleep"));
  for (const { path, source } of await programClosure("sleep")) {
    await session.call("mkdir", "/lib64", 0o755).catch(() => {});
    for (let end = path.indexOf("/", 1); end > 0; end = path.indexOf("/", end + 1)) {
      await session.mkdir(path.slice(0, end));
    }
    await session.writeFile(path, await Deno.readFile(source));
  }
  const { pid } = await session.exec(["/bin/sleep", "1"]);
  await session.quiesce(pid);
  await session.stop(pid);
  const { brk } = await callsOf(session, pid);
  const maps = new TextDecoder().decode((await session.observe(pid, ["maps"])).get("maps"));
  const heap = /^([0-9a-f]+)-([0-9a-f]+) .*\[heap\]$/m.exec(maps)!;
  assert(brk > BigInt(`0x${heap[1]}`) && brk <= BigInt(`0x${heap[2]}`), `${brk.toString(16)} ${heap[0]}`);
  await session.cont(pid);
  // The call is restarted by its restart block, and ends when its time is over.
  while ((await session.quiesce(pid)).state !== "exited") await new Promise((done) => setTimeout(done, 50));
  assertEquals(await session.quiesce(pid), { state: "exited", code: 0 });
}

// The sleep(1) of this machine is a 64-bit program.
Deno.test({
  name: "agent, x86_64: a program that sleeps goes on sleeping after it has told its break",
  ignore: !canStartHostAgent(),
  async fn() {
    await using agent = await startHostAgent("x86_64");
    await askSleeper(agent.session);
  },
});

/** A target that is stopped while it runs in user mode, and the point from which it goes on. */
async function runAndStop(session: AgentSession, ops: TargetOp[]): ReturnType<typeof runToStop> {
  const event = await runToStop(session, ops);
  assert(await comesToState(session, event.pid, "R"), "runs, within 20 s");
  await session.stop(event.pid);
  return event;
}

agentTest("a target that is stopped in user mode tells its break and its LDT", async (session, arch) => {
  const { brk, kill, modifyLdt } = NR[arch];
  const ops: TargetOp[] = [
    { op: "syscall", nr: brk, args: [0n] },
    { op: "data", offset: 0, bytes: userDescriptor(1, 0x1234, 0x777) },
    { op: "syscall", nr: modifyLdt, args: [0x11n, { scratch: 0 }, 16n] },
    { op: "stop", label: 0, killNr: kill, busy: "running" },
    { op: "syscall", nr: brk, args: [0n] },
  ];
  const { pid, scratch } = await runAndStop(session, ops);
  await seenOf(session, pid);
  const before = await seenOf(session, pid);
  const told = await callsOf(session, pid);
  assertEquals(await seenOf(session, pid), before);
  assertEquals(told.ldt.toHex().slice(0, 24), `${"00".repeat(8)}77073412`);
  await session.poke(pid, scratch + BigInt(RELEASE_OFFSET), Uint8Array.of(1));
  await session.cont(pid);
  assertEquals(await session.event(), { kind: "exit", pid, code: 0 });
  const { results } = decodeResults(ops, await session.results());
  assertEquals([results[0]?.value, results.at(-1)?.value], [told.brk, told.brk]);
});

agentTest("a target is not asked in a critical section", async (session, arch) => {
  const rseq = arch === "i386" ? 386 : 334;
  const { pid, scratch } = await runAndStop(session, [
    { op: "syscall", nr: rseq, args: [{ scratch: 0 }, 32n, 0n, 0x53053053n] },
    { op: "stop", label: 0, killNr: NR[arch].kill, busy: "running" },
  ]);
  const isAsked = async () => (await session.registers(pid, { calls: true })).has("brk");
  assertEquals(await isAsked(), true);
  // rseq_cs of struct rseq: whoever goes on outside of that section loses it.
  await session.poke(pid, scratch + 8n, Uint8Array.of(0, 0x10));
  assertEquals(await isAsked(), false);
});

agentTest("what the kernel tells a target of its processor is as before", async (session, arch) => {
  const rseq = arch === "i386" ? 386 : 334;
  const { pid, scratch } = await runToStop(session, [
    { op: "syscall", nr: rseq, args: [{ scratch: 0 }, 32n, 0n, 0x53053053n] },
    { op: "stop", label: 0, killNr: NR[arch].kill },
  ]);
  // cpu_id_start and cpu_id of struct rseq, as a processor would have it that this machine has not.
  const elsewhere = Uint8Array.of(77, 0, 0, 0, 77, 0, 0, 0);
  await session.poke(pid, scratch, elsewhere);
  await callsOf(session, pid);
  assertEquals(await session.poke(pid, scratch, elsewhere), elsewhere);
});

Deno.test({
  name: "agent, x86_64: an LDT that is read otherwise than LAR and LSL see it is an error",
  ignore: !canStartHostAgent(),
  async fn() {
    await using agent = await startHostAgent("x86_64", { kernel: "wrong-ldt" });
    const { pid } = await runToStop(agent.session, [
      { op: "data", offset: 0, bytes: userDescriptor(1, 0x1234, 0x777) },
      { op: "syscall", nr: NR.x86_64.modifyLdt, args: [0x11n, { scratch: 0 }, 16n] },
      { op: "stop", label: 0, killNr: NR.x86_64.kill },
    ]);
    const error = await assertRejects(() => agent.session.registers(pid, { calls: true }), AgentError);
    assertMatch(
      error.message,
      /entry 1 of the LDT is [0-9a-f]+1234[0-9a-f]{3}6: LAR and LSL say [0-9a-f]+ 777/,
    );
  },
});
