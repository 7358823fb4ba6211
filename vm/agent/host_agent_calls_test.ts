// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { TargetOp } from "../../lib/model/target_op.ts";
import { AgentError } from "./agent_session.ts";
import { BlockHash } from "../../lib/abi/block_hash.ts";
import { withDeadline } from "../host/deadline.ts";
import { GuestLostError } from "../qemu/guest_lost_error.ts";
import { decodeResults, encodeProgram, RELEASE_OFFSET } from "./target_program.ts";
import { LineQueue, writeAll } from "./byte_channel.ts";
import { canStartHostAgent, STAND_IN_NR, startAgentProcess, startHostAgent } from "./testing/host_agent.ts";
import {
  agentTest,
  ARCHES,
  AREA,
  comesToState,
  mapArea,
  NR,
  runToStop,
  stateOf,
} from "./testing/host_agent_case.ts";

agentTest("a tracer stays, sets debug registers, and leaves the target stopped", async (session, arch) => {
  const { pid } = await runToStop(session, [mapArea(arch), { op: "stop", label: 0, killNr: NR[arch].kill }]);
  for (const how of ["seize", "attach"] as const) {
    await session.attach(pid, how);
    assertEquals(await stateOf(session, pid), "t");
    // The registers are there to see for one who is attached already.
    assert((await session.registers(pid)).get("gpr")!.length > 0);
    await session.detach(pid);
    assertEquals(await stateOf(session, pid), "T");
  }
  assertEquals(await session.setRegister(pid, 0, AREA + 8n), 0);
  const EIO = 5;
  const EINVAL = 22;
  assertEquals(await session.setRegister(pid, 4, 0n), EIO);
  const kernel = arch === "i386" ? 0xffffff00n : 0xffffffff81000000n;
  // A 32-bit tracer on a 64-bit kernel cannot name that kernel's addresses.
  if (arch === "x86_64") assertEquals(await session.setRegister(pid, 1, kernel), EINVAL);
  assertEquals(await session.setRegister(pid, 7, 0x2n), 0);
  const debug = (await session.registers(pid)).get("debugreg")!;
  const words = arch === "i386"
    ? new Uint32Array(debug.slice().buffer)
    : new BigUint64Array(debug.slice().buffer);
  assertEquals([words[0], words[7]].map(Number), [Number(AREA) + 8, 2]);
  await session.cont(pid);
  assertEquals(await session.event(), { kind: "exit", pid, code: 0 });
});

agentTest("a poke goes past the protection, and tells what was there", async (session, arch) => {
  const protect: TargetOp = { op: "syscall", nr: NR[arch].mprotect, args: [AREA, 0x1000n, 1n] };
  const stop: TargetOp = { op: "stop", label: 0, killNr: NR[arch].kill };
  const end: TargetOp = { op: "report", address: AREA + 4094n, length: 2 };
  const ops = [mapArea(arch), protect, stop, end];
  const { pid } = await runToStop(session, ops);
  assertEquals(await session.poke(pid, AREA + 4094n, Uint8Array.of(0xcc, 0x01)), Uint8Array.of(0, 0));
  assertEquals(await session.poke(pid, AREA + 4095n, Uint8Array.of(0x02)), Uint8Array.of(1));
  await assertRejects(() => session.poke(pid, 0x1000n, Uint8Array.of(1)), AgentError, "errno 5");
  await session.cont(pid);
  assertEquals(await session.event(), { kind: "exit", pid, code: 0 });
  const { results } = decodeResults(ops, await session.results());
  assertEquals(results.at(-1)?.bytes, Uint8Array.of(0xcc, 0x02));
});

agentTest("files are written and read at positions of more than 32 bits", async (session) => {
  const FAR = 5_000_000_000;
  const [O_RDWR_CREAT_LARGEFILE, SEEK_SET, SEEK_CUR] = [0o100102, 0, 1];
  const { result: fd } = await session.call("open", "/work/far", O_RDWR_CREAT_LARGEFILE, 0o600);
  assertEquals(await session.seek(fd, FAR, SEEK_SET), FAR);
  await session.call("write", fd, "far", 3);
  assertEquals(await session.seek(fd, 0, SEEK_CUR), FAR + 3);
  assertEquals(await session.seek(fd, -4, SEEK_CUR), FAR - 1);
  assertEquals(new TextDecoder().decode(await session.readFile("/work/far", { offset: FAR - 1 })), "\0far");
});

agentTest("a busy target goes on when its word is set", async (session, arch) => {
  const ways = [["running", "R"], ["sleeping", "S"], ["vfork", "D"]] as const;
  const ops = ways.map(([busy], label): TargetOp => ({ op: "stop", label, killNr: NR[arch].kill, busy }));
  const event = await runToStop(session, ops);
  for (const [index, [, state]] of ways.entries()) {
    assert(await comesToState(session, event.pid, state), `${state}, within 20 s`);
    await session.poke(event.pid, event.scratch + BigInt(RELEASE_OFFSET), Uint8Array.of(1));
    const next = await session.event();
    const expected = index < 2 ? { ...event, label: index + 1 } : { kind: "exit", pid: event.pid, code: 0 };
    assertEquals(next, expected as typeof next);
  }
});

agentTest("a process goes on without the thread that led it", async (session, arch) => {
  const ops: TargetOp[] = [
    { op: "stop", label: 0, killNr: NR[arch].kill, busy: "exited leader" },
    { op: "getpid" },
    { op: "exit", code: 7 },
  ];
  const event = await runToStop(session, ops);
  assert(await comesToState(session, event.pid, "Z"), "within 20 s");
  await session.cont(event.pid);
  assertEquals(await session.event(), { kind: "exit", pid: event.pid, code: 7 });
  assertEquals(decodeResults(ops, await session.results()).results.map(({ value }) => value), [
    BigInt(event.pid),
  ]);
});

agentTest("a zombie stays one until everything is cleaned away", async (session) => {
  const zombie = await session.zombie();
  assertEquals(await stateOf(session, zombie), "Z");
  await session.time();
  assertEquals(await stateOf(session, zombie), "Z");
  await session.clean();
  await assertRejects(() => session.observe(zombie, ["status"]), AgentError);
  // Whoever made a call is gone when it is answered.
  const { caller } = await session.checkpoint({ nr: 9999, pid: 1 });
  assert(caller > 1);
  await assertRejects(() => session.observe(caller, ["status"]), AgentError);
});

agentTest(
  "a target in a pid namespace of its own is known by the agent's pid for it",
  async (session, arch) => {
    const NEW_PID = 0x20000000n;
    const unshare = arch === "i386" ? 310 : 272;
    const event = await runToStop(session, [
      { op: "syscall", nr: unshare, args: [NEW_PID] },
      { op: "fork", mode: "child", id: 0 },
      { op: "fork", mode: "child", id: 1 },
      { op: "getpid" },
      { op: "stop", label: 0, killNr: NR[arch].kill },
    ]);
    const inside = new BigInt64Array((await session.results()).slice().buffer).at(-1);
    assertEquals([inside, await stateOf(session, event.pid)], [2n, "T"]);
    assert(event.pid !== 2);
  },
);

agentTest("the image path carries every byte, and all its accidents are told", async (session) => {
  const call = { nr: STAND_IN_NR, pid: 1 };
  for (const length of [0, 1, 43, 4_000_001]) {
    const { result, errno, image } = await session.checkpoint({ ...call, flags: BigInt(length) });
    assertEquals([result, errno], [1n, 0]);
    assert(
      new BlockHash().update(image!).digest() === new BlockHash().update(pattern(length)).digest() &&
        image!.length === length,
      `${length} bytes`,
    );
  }
  const refused = await session.checkpoint({ nr: 9999, pid: 1 });
  assertEquals([refused.result, refused.errno, refused.length], [-38n, 38, 0]);
  const closed = await session.checkpoint({ ...call, flags: 10, fd: "none" });
  assertEquals([closed.errno, closed.length], [9, 0]);
  const other = await session.checkpoint({ ...call, flags: 10n, uid: 5, gid: 5 });
  assertEquals(other.image, pattern(10));
});

agentTest("a checkpoint pauses where it is told to, and others go on meanwhile", async (session) => {
  const call = { nr: STAND_IN_NR, pid: 1, flags: 400_000n };
  /** A pipe that is soon full. */
  const smallPipe = async () => {
    const { bytes } = await session.call("pipe2", new Uint8Array(8), 0);
    const [reader, fd] = new Int32Array(bytes.slice().buffer);
    await session.call("fcntl", fd!, F_SETPIPE_SZ, 4096);
    return { fd: fd!, reader: reader! };
  };
  const first = await session.checkpoint({ ...call, ...await smallPipe(), pauseAt: 10_000 });
  const second = await session.checkpoint(call);
  assertEquals([first.length, first.paused?.handle, second.length], [10_000, 0, 400_000]);
  const { handle, caller } = first.paused!;
  const more = await session.resume({ handle, pauseAt: 20_000 });
  assertEquals([more.image, more.paused], [pattern(20_000).subarray(10_000), { handle, caller }]);
  await session.time();
  const rest = await session.resume({ handle });
  assertEquals([rest.result, rest.length, rest.probe], [1n, 380_000, -14n]);
  assertEquals(rest.image, pattern(400_000).subarray(20_000));
  await assertRejects(() => session.resume({ handle }), AgentError, "errno 22");
  // A caller that is killed ends though nobody reads; what it wrote can still be read.
  const { paused } = await session.checkpoint({ ...call, ...await smallPipe(), pauseAt: 10_000 });
  await session.signal(paused!.caller, 9);
  const killed = await session.resume({ handle: paused!.handle, waitMs: 5000 });
  assert(killed.signal === 9 && killed.length <= 4096, `${killed.signal}, ${killed.length} bytes`);
  const stays = await session.checkpoint({
    ...{ ...call, ...await smallPipe(), pauseAt: 10_000, handledSignal: 10 },
  });
  await session.signal(stays.paused!.caller, 10);
  const late = await session.resume({ handle: stays.paused!.handle, waitMs: 5 });
  assertEquals([killed.isLate, late.isLate, late.result, late.length], [undefined, true, 1n, 390_000]);
  for (const [signals, end] of [["ignored", [-32n, undefined]], ["fatal", [-1n, 13]]] as const) {
    const cut = await session.checkpoint({ ...call, ...await smallPipe(), pauseAt: 10_000, signals });
    const gone = await session.resume({ handle: cut.paused!.handle, closeReader: 1 });
    assertEquals([gone.result, gone.signal, gone.length], [...end, 0]);
  }
  // Those under way end with everything else.
  await session.checkpoint({ ...call, pauseAt: 0 });
  await session.clean();
  await assertRejects(() => session.resume({ handle: 0 }), AgentError, "errno 22");
  const path = "/tmp/limited";
  const O_CREAT_WRONLY = 0o101;
  const { result: fd } = await session.call("open", path, O_CREAT_WRONLY, 0o600);
  const limited = { ...call, fd, rlimitFsize: 5000 };
  assertEquals((await session.checkpoint({ ...limited, signals: "ignored" })).errno, 27);
  assertEquals(await session.readFile(path, { offset: 1000, length: 100 }), pattern(1100).subarray(1000));
  assertEquals((await session.readFile(path, { offset: 4990 })).length, 10);
  assertEquals((await session.checkpoint(limited)).signal, 25);
  const several = await session.checkpoint({ ...call, nr: 9999, times: 3 });
  assertEquals([several.errno, several.otherResult], [38, undefined]);
});

agentTest("syscall passes numbers, strings and bytes, and gives the bytes back", async (session, arch) => {
  const { uname, getpid, access } = arch === "x86_64"
    ? { uname: 63, getpid: 39, access: 21 }
    : { uname: 122, getpid: 20, access: 33 };
  assertEquals((await session.syscall(getpid)).result, 1n);
  assertEquals((await session.syscall(access, "/tmp", 0)).result, 0n);
  assertEquals((await session.syscall(access, "/no such", 0)).result, -2n);
  const { result, bytes } = await session.syscall(uname, new Uint8Array(390));
  assertEquals([result, new TextDecoder().decode(bytes.subarray(0, 5))], [0n, "Linux"]);
});

agentTest("a caller that restart(2) refuses is gone when it is answered", async (session, arch) => {
  const event = await runToStop(session, [{ op: "stop", label: 0, killNr: NR[arch].kill }]);
  await session.writeFile("/run/ckptest/no_image", "text");
  const { pid, result } = await session.restart({ pid: event.pid, image: "/run/ckptest/no_image", keep: 1 });
  assert(result !== 0n && pid !== event.pid, `${result}`);
  await assertRejects(() => session.observe(pid, ["status"]), AgentError);
  assertEquals(await stateOf(session, event.pid), "T");
});

agentTest("clean tells where somebody still held a file", async (session) => {
  await session.writeFile("/work/x", "text");
  await session.clean();
  assertEquals(session.held, undefined);
  await session.writeFile("/work/x", "text");
  const { result: fd } = await session.call("open", "/work/x", 0);
  await session.clean();
  assertEquals(session.held, "/work");
  await session.call("close", fd);
});

agentTest("clean leaves nothing behind, and files keep what was written", async (session, arch) => {
  await session.writeFile("/work/x", "text");
  assertEquals(await session.readFile("/work/x"), new TextEncoder().encode("text"));
  const big = Uint8Array.from({ length: 2_500_003 }, (_, i) => i >> 5);
  await session.writeFile("/tmp/big", big);
  assertEquals(
    new BlockHash().update(await session.readFile("/tmp/big")).digest(),
    new BlockHash().update(big).digest(),
  );
  const event = await runToStop(session, [{ op: "stop", label: 0, killNr: NR[arch].kill }]);
  await assertRejects(() => session.readFile("/work/x"), AgentError, "errno 2");
  await session.writeFile("/work/y", "text");
  await session.clean();
  await assertRejects(() => session.readFile("/work/y"), AgentError, "errno 2");
  await assertRejects(() => session.results(), AgentError, "errno 2");
  await assertRejects(() => session.observe(event.pid, ["stat"]), AgentError);
  await assertRejects(() => session.event(), AgentError, "errno 3");
  await assertRejects(() => session.writeFile("/nosuch/x", big), AgentError, "/nosuch/x");
  await session.time();
  await session.mkdir("/tmp/m");
  await session.mount({ type: "tmpfs", directory: "/tmp/m", data: "size=8k" });
  await assertRejects(() => session.writeFile("/tmp/m/x", big), AgentError, "errno 28");
  await session.time();
});

for (const arch of ARCHES) {
  Deno.test({
    name: `agent, ${arch}: answers nonsense with err and stays in step`,
    ignore: !canStartHostAgent(),
    async fn() {
      await using agent = await startAgentProcess(arch);
      const { control, data } = agent.link;
      const lines = new LineQueue(control, 4096, () => {});
      const next = () => withDeadline(lines.next(), 5000, "a line of the agent's");
      const say = async (text: string) => {
        await writeAll(control, new TextEncoder().encode(text));
        return await next();
      };
      assert((await next()).startsWith(`hello protocol=2 arch=${arch} `));
      const refused = [
        "",
        " ",
        "nosuch",
        "readfile",
        "readfile path",
        "readfile path=",
        "readfile path=/ offset=12x",
        "readfile path=%zz",
        "readfile path=%00",
        "readfile path=/ offset=18446744073709551616",
        "readfile =5",
        "stop pid=0",
        "stop pid=-1",
        "stop pid=99999999",
        "spawn",
        "spawn path=/target",
        "exec",
        "exec env=A=1",
        "writefile length=0 hash=811c9dc59747b28c",
        "writefile path=/tmp/x length=0 hash=00",
        "observe pid=1",
        "observe pid=1 what=../1/nosuch",
        "pagehash pid=1",
        "regs pid=1",
        "attach pid=1 how=seize",
        "attach pid=1 how=gently",
        "attach pid=99999999 how=attach",
        "detach pid=1",
        "checkpoint nr=1",
        "checkpoint nr=1 pid=1 fd=elsewhere",
        "checkpoint nr=1 pid=1 times=x",
        "resume",
        "resume handle=0",
        "resume handle=99",
        "syscall",
        "syscall nr=1 n=x",
        "syscall nr=1 b=0g",
        "syscall nr=1 b=0",
        "syscall nr=1 n=1 n=1 n=1 n=1 n=1 n=1 n=1",
        `readfile offset=${"5".repeat(5000)}`,
        "exec" + " x=".repeat(600),
        "\x00\x01\xff",
      ];
      for (const line of refused) {
        assert(/^err errno=\d+ what=\S+$/.test(await say(`${line}\n`)), JSON.stringify(line));
      }
      // A wrong digest is told, and what follows is understood.
      await writeAll(data, Uint8Array.of(1, 2, 3));
      assert(
        (await say("writefile path=/tmp/x length=3 hash=0000000000000000\n")).startsWith("err errno=74 "),
      );
      const isTime = (line: string) => /^ok realtime=\d+ monotonic_ns=\d+$/.test(line);
      assert(isTime(await say("time\n")));
      // Two commands at once, and one in pieces.
      assert(isTime(await say("time\nclean\n")));
      assertEquals(await next(), "ok");
      await writeAll(control, new TextEncoder().encode("ti"));
      assert(isTime(await say("me\n")));
    },
  });

  Deno.test({
    name: `agent, ${arch}: ends when the host hangs up, while it waits for an event too`,
    ignore: !canStartHostAgent(),
    async fn() {
      for (const waiting of [false, true]) {
        await using agent = await startHostAgent(arch);
        const { session } = agent;
        const nr = arch === "i386" ? 29 : 34;
        await session.program(encodeProgram([{ op: "syscall", nr, args: [] }]));
        await session.spawn();
        const event = waiting
          ? assertRejects(() => session.event({ deadlineMs: 300 }), GuestLostError)
          : undefined;
        await event;
        agent.hangUp();
        assertEquals((await agent.status).code, 0);
      }
    },
  });
}

const F_SETPIPE_SZ = 1031;

/** What the stand-in for the system call writes. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i % 251);
}

agentTest(
  "a stop that its tracer has not waited for stays unread, whatever is asked meanwhile",
  async (session, arch) => {
    const { pid } = await runToStop(session, [{ op: "stop", label: 0, killNr: NR[arch].kill }]);
    const exitCode = async () => {
      const name = `task/${pid}/stat`;
      const text = new TextDecoder().decode((await session.observe(pid, [name])).get(name));
      return text.trim().split(" ").at(-1);
    };
    await session.attach(pid, "unread");
    while (
      new TextDecoder().decode((await session.observe(pid, ["stat"])).get("stat")).split(" ")[2] !== "t"
    );
    assertEquals([await exitCode(), await exitCode()], ["19", "19"]);
    await session.detach(pid);
    await session.cont(pid);
    assertEquals((await session.event()).kind, "exit");
  },
);
