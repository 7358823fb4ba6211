// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { AgentError, AgentSession, type SessionOptions } from "./agent_session.ts";
import { RESTART_UNTOUCHED } from "./agent_types.ts";
import { blockHashHex } from "../../lib/abi/block_hash.ts";
import { LineQueue } from "./byte_channel.ts";
import { linkOver, type MemoryConnection, memoryConnections } from "./testing/memory_link.ts";
import { GuestLostError, type GuestLostReason } from "../qemu/guest_lost_error.ts";

const HELLO = "hello protocol=2 arch=x86_64 word_size=8 release=6.1.192 version=%231%20SMP machine=x86_64 " +
  "zero_page_frame=0x1f";
const BYTES = new TextEncoder().encode("some bytes of a blob");
const HASH = blockHashHex(BYTES);

/** An agent of a test's own making: it hears commands and says what the test wants. */
class FakeAgent {
  readonly #control: MemoryConnection;
  readonly #data: MemoryConnection;
  readonly #lines: LineQueue;

  constructor(control: MemoryConnection, data: MemoryConnection) {
    this.#control = control;
    this.#data = data;
    this.#lines = new LineQueue(control, 4096, () => {});
  }

  hear(): Promise<string> {
    return this.#lines.next();
  }

  /** Hears a command and answers it with lines. */
  async answer(...lines: string[]): Promise<string> {
    const command = await this.hear();
    for (const line of lines) this.say(line);
    return command;
  }

  say(line: string): void {
    this.raw(`${line}\n`);
  }

  raw(text: string): void {
    this.#control.write(new TextEncoder().encode(text));
  }

  send(bytes: Uint8Array): void {
    this.#data.write(bytes);
  }

  async receive(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) at += await this.#data.read(bytes.subarray(at)) ?? 0;
    return bytes;
  }

  hangUp(port?: "control" | "data"): void {
    if (port !== "data") this.#control.close();
    if (port !== "control") this.#data.close();
  }
}

interface Scene {
  agent: FakeAgent;
  connect(): Promise<AgentSession>;
}

function setScene(options: SessionOptions = {}): Scene {
  const [control, agentControl] = memoryConnections();
  const [data, agentData] = memoryConnections();
  const link = linkOver(control, data);
  return {
    agent: new FakeAgent(agentControl, agentData),
    connect: () => AgentSession.connect(link, { deadlineMs: 2000, bootDeadlineMs: 2000, ...options }),
  };
}

async function withSession(work: (session: AgentSession, agent: FakeAgent) => Promise<void>): Promise<void> {
  const { agent, connect } = setScene();
  agent.say(HELLO);
  await work(await connect(), agent);
  agent.hangUp();
}

async function assertLost(
  work: Promise<unknown>,
  reason: GuestLostReason,
  ...words: string[]
): Promise<void> {
  const error = await assertRejects(() => work, GuestLostError);
  assertEquals(error.reason, reason);
  for (const word of words) assertStringIncludes(error.message, word);
}

Deno.test("AgentSession.connect() reads who the agent is", async () => {
  await withSession((session) => {
    assertEquals(session.info, {
      arch: "x86_64",
      wordSize: 8,
      release: "6.1.192",
      version: "#1 SMP",
      machine: "x86_64",
      zeroPageFrame: 31n,
    });
    return Promise.resolve();
  });
});

Deno.test("AgentSession.connect() gives up an agent that is silent, cut off, or speaks another protocol", async () => {
  // A slow line makes no kernel slow.
  const silent = setScene({ bootDeadlineMs: 20, slowdown: 1000 });
  await assertLost(silent.connect(), "timeout", "the agent's hello", "waited 0.02 s");
  const cases: [string, string][] = [
    [`${HELLO.replace("protocol=2", "protocol=1")}\n`, "expected protocol 2, found 1"],
    ["Linux version 6.1\n", "expected a word at the start"],
    [`${HELLO.replace("word_size=8", "word=8")}\n`, "expected word_size="],
    ["hello proto=1 ar", "the last line is cut"],
    ["x".repeat(5000), "a line of more than 4095 bytes"],
    ["", "the control port ended"],
  ];
  for (const [text, words] of cases) {
    const { agent, connect } = setScene();
    agent.raw(text);
    agent.hangUp();
    await assertLost(connect(), "protocol", words, "the agent's hello");
  }
});

Deno.test("AgentSession sends commands word by word, one at a time, in order", async () => {
  await withSession(async (session, agent) => {
    const results = Promise.all([
      session.zombie(),
      session.spawn({ path: "/a b", uid: 7 }),
      session.exec(["sh", "-c", "echo 50%"], { env: { A: "1" } }),
      session.mount({ type: "tmpfs", directory: "/m", data: "size=1m" }),
      session.signal(12, 15),
    ]);
    assertEquals(await agent.answer("ok pid=5"), "zombie");
    assertEquals(await agent.answer("ok pid=31"), "spawn path=/a%20b uid=7");
    assertEquals(
      await agent.answer("ok pid=32 stdout=/o stderr=/e"),
      "exec env=A=1 arg=sh arg=-c arg=echo%2050%25",
    );
    const mount = "syscall nr=165 s=tmpfs s=/m s=tmpfs n=0 s=size=1m";
    assertEquals(await agent.answer("ok result=0 bytes="), mount);
    assertEquals(await agent.answer("ok result=0 bytes="), "syscall nr=62 n=12 n=15");
    assertEquals(await results, [5, 31, { pid: 32, stdout: "/o", stderr: "/e" }, undefined, undefined]);
  });
});

Deno.test("AgentSession.call() names the system call that failed, and what it failed with", async () => {
  await withSession(async (session, agent) => {
    const made = session.call("open", "/x", new Uint8Array(2), -1);
    assertEquals(
      await agent.answer("ok result=-24 bytes=0102"),
      "syscall nr=2 s=/x b=0000 n=18446744073709551615",
    );
    const error = await assertRejects(
      () => made,
      AgentError,
      "open(/x, 2 bytes, -1): the agent answered errno 24 EMFILE",
    );
    assertEquals(error.errno, 24);
    const address = session.call("mmap", 0);
    await agent.answer("ok result=-4096 bytes=");
    assertEquals((await address).result, -4096);
    // A directory that is there will do, and another error will not.
    const there = session.mkdir("/d");
    await agent.answer("ok result=-17 bytes=");
    await there;
    const failed = session.mkdir("/d");
    await agent.answer("ok result=-13 bytes=");
    await assertRejects(() => failed, AgentError, "EACCES");
  });
});

Deno.test("AgentSession.poke() tells what was there, and closes the memory when it cannot be written", async () => {
  await withSession(async (session, agent) => {
    const poked = session.poke(9, 0x123456789n, Uint8Array.of(0xcc));
    assertEquals(await agent.answer("ok result=6 bytes="), "syscall nr=2 s=/proc/9/mem n=2");
    assertEquals(await agent.answer("ok result=1 bytes=55"), "syscall nr=17 n=6 b=00 n=1 n=4886718345");
    assertEquals(await agent.answer("ok result=-5 bytes=cc"), "syscall nr=18 n=6 b=cc n=1 n=4886718345");
    const failed = assertRejects(() => poked, AgentError, "EIO");
    assertEquals(await agent.answer("ok result=0 bytes="), "syscall nr=3 n=6");
    await failed;
  });
});

Deno.test("AgentSession.setRegister() attaches, pokes the user area, and detaches", async () => {
  await withSession(async (session, agent) => {
    const set = session.setRegister(9, 7, 5n);
    assertEquals(await agent.answer("ok"), "attach pid=9 how=seize");
    assertEquals(await agent.answer("ok result=-22 bytes="), "syscall nr=101 n=6 n=9 n=904 n=5");
    assertEquals(await agent.answer("ok"), "detach pid=9");
    assertEquals(await set, 22);
    const old = session.setRegister(9, 0, 5n);
    await agent.answer("err errno=5 what=seize");
    assertEquals(await agent.answer("ok"), "attach pid=9 how=attach");
    assertEquals(await agent.answer("ok result=0 bytes="), "syscall nr=101 n=6 n=9 n=848 n=5");
    await agent.answer("ok");
    assertEquals(await old, 0);
  });
});

Deno.test("AgentSession understands every event and every state", async () => {
  await withSession(async (session, agent) => {
    const events: [string, unknown][] = [
      ["event=stop label=3 pid=9 scratch=0x404000 resume_address=0x400100", {
        kind: "stop",
        pid: 9,
        label: 3,
        scratch: 0x404000n,
        resumeAddress: 0x400100n,
      }],
      ["event=exit pid=9 code=42", { kind: "exit", pid: 9, code: 42 }],
      ["event=signal pid=9 signal=11", { kind: "signal", pid: 9, signal: 11 }],
    ];
    for (const [line, expected] of events) {
      const event = session.event();
      await agent.answer(`ok ${line}`);
      assertEquals(await event, expected);
    }
    const quiet = session.quiesce(4);
    await agent.answer("ok state=S");
    assertEquals(await quiet, { state: "S" });
    const ended = session.quiesce(4);
    await agent.answer("ok state=exited code=1");
    assertEquals(await ended, { state: "exited", code: 1 });
  });
});

Deno.test("AgentSession has a target's results with its event, and asks anew once something happened", async () => {
  await withSession(async (session, agent) => {
    const event = session.event();
    await agent.hear();
    agent.send(BYTES);
    agent.say(`blob name=results length=${BYTES.length} hash=${HASH}`);
    agent.say("ok event=exit pid=9 code=0");
    await event;
    assertEquals(await session.results(), BYTES);
    const zombie = session.zombie();
    await agent.answer("ok pid=4");
    await zombie;
    const results = session.results();
    assertEquals(await agent.hear(), "readfile path=/run/ckptest/results");
    agent.send(BYTES.subarray(0, 3));
    agent.say(`blob name=file length=3 hash=${blockHashHex(BYTES.subarray(0, 3))}`);
    agent.say("ok");
    assertEquals(await results, BYTES.subarray(0, 3));
  });
});

Deno.test("AgentSession cleans once where nothing happened since", async () => {
  await withSession(async (session, agent) => {
    const program = session.program(BYTES);
    assertEquals((await agent.answer("ok result=0 bytes=")).split(" ")[0], "syscall");
    await agent.answer("ok");
    await program;
    const first = session.clean();
    assertEquals(await agent.answer("ok"), "clean");
    await first;
    const marked = session.writeFile("/dev/kmsg", "<4>the end\n");
    await agent.answer("ok");
    await marked;
    await session.clean();
    const fresh = session.program(BYTES);
    assertEquals((await agent.answer("ok")).split(" ")[0], "writefile");
    await fresh;
    const last = session.clean();
    assertEquals(await agent.answer("ok"), "clean");
    await last;
  });
});

Deno.test("AgentSession takes blobs whether they come before their line or after it", async () => {
  await withSession(async (session, agent) => {
    const observed = session.observe(7, ["maps", "stat"]);
    assertEquals(await agent.hear(), "observe pid=7 what=maps,stat");
    agent.send(BYTES.subarray(0, 5));
    agent.send(BYTES.subarray(5));
    agent.say(`blob name=maps length=${BYTES.length} hash=${HASH}`);
    agent.say(`blob name=stat length=3 hash=${blockHashHex(BYTES.subarray(0, 3))}`);
    agent.say("ok");
    agent.send(BYTES.subarray(0, 3));
    const blobs = await observed;
    assertEquals(blobs.get("maps"), BYTES);
    assertEquals(blobs.get("stat"), BYTES.slice(0, 3));
  });
});

Deno.test("AgentSession sends bytes with length and digest", async () => {
  await withSession(async (session, agent) => {
    const written = session.writeFile("/f", BYTES);
    assertEquals(await agent.hear(), `writefile path=/f length=${BYTES.length} hash=${HASH}`);
    assertEquals(await agent.receive(BYTES.length), BYTES);
    agent.say("ok");
    await written;
    const hashes = session.pageHash(3, [0x1000n, 0x2000n]);
    assert((await agent.hear()).startsWith("pagehash pid=3 count=2 hash="));
    const addresses = new BigUint64Array((await agent.receive(16)).buffer);
    assertEquals([...addresses], [0x1000n, 0x2000n]);
    const answer = new Uint8Array(BigUint64Array.of(0x11_0000_0022n, 2n ** 64n - 1n).buffer);
    agent.send(answer);
    agent.say(`blob name=pagehash length=16 hash=${blockHashHex(answer)}`);
    agent.say("ok");
    assertEquals([...await hashes], [0x11_0000_0022n, 2n ** 64n - 1n]);
  });
});

Deno.test("AgentSession.restart() and restarts() say which image, and read what came of it", async () => {
  await withSession(async (session, agent) => {
    const restarted = session.restart({ pid: 9, image: "/run/i", how: "pipe" });
    assertEquals(await agent.hear(), "restart nr=391 path=/target pid=9 image=/run/i how=pipe");
    agent.say("ok pid=10 result=-8 changed=0 position=7 stdout=/o stderr=/e");
    assertEquals(await restarted, {
      pid: 10,
      result: -8n,
      changed: 0,
      position: 7n,
      stdout: "/o",
      stderr: "/e",
    });

    const tries = session.restarts("/run/i", [
      { offset: 5, mask: 0x80, how: "file" },
      { offset: 3, mask: 0, how: "pipe" },
      { offset: 2, mask: 0, how: "fault" },
    ]);
    assertMatch(await agent.hear(), /^restarts nr=391 image=\/run\/i count=3 hash=/);
    const words = new BigUint64Array((await agent.receive(24)).buffer);
    assertEquals([...words], [0x80_0000_0000_0005n, 0x100_0000_0000_0003n, 0x200_0000_0000_0002n]);
    const answer = new Uint8Array(BigInt64Array.of(0n, -32n, 3000n).buffer);
    agent.send(answer);
    agent.say(`blob name=restarts length=24 hash=${blockHashHex(answer)}`);
    agent.say("ok");
    assertEquals(await tries, [0, -32, RESTART_UNTOUCHED]);
  });
});

const ENDING = "caller=70 seconds_before=100 seconds_after=101 nanoseconds=12345";

Deno.test("AgentSession.checkpoint() brings an image home, whole or to a sink", async () => {
  await withSession(async (session, agent) => {
    const image = Uint8Array.from({ length: 3_000_001 }, (_, i) => i * 7 >> 3);
    const answer = `ok result=1 length=${image.length} hash=${blockHashHex(image)} ${ENDING}`;
    const whole = session.checkpoint({ pid: 9 });
    assertEquals(await agent.hear(), "checkpoint nr=390 pid=9");
    agent.send(image.subarray(0, 1_000_000));
    agent.say(answer);
    await new Promise((resolve) => setTimeout(resolve, 10));
    agent.send(image.subarray(1_000_000));
    const result = await whole;
    assertEquals(result.image, image);
    assertEquals([result.result, result.errno, result.length, result.nanoseconds], [
      1n,
      0,
      image.length,
      12345n,
    ]);

    const parts: number[] = [];
    const handed = session.checkpoint({
      pid: -1,
      flags: 1n,
      sink: (bytes) => void parts.push(bytes.length),
    });
    assertEquals(await agent.hear(), "checkpoint nr=390 pid=18446744073709551615 flags=1");
    agent.send(image);
    agent.say(answer);
    assertEquals((await handed).image, undefined);
    assertEquals(parts.reduce((a, b) => a + b), image.length);
  });
});

Deno.test("AgentSession.checkpoint() passes on what its sink throws, and the session lives", async () => {
  await withSession(async (session, agent) => {
    const full = session.checkpoint({
      pid: 9,
      sink: () => Promise.reject(new Error("No space left on device")),
    });
    await agent.hear();
    agent.send(BYTES);
    agent.send(BYTES.subarray(3));
    const both = new Uint8Array([...BYTES, ...BYTES.subarray(3)]);
    agent.say(`ok result=1 length=${both.length} hash=${blockHashHex(both)} ${ENDING}`);
    await assertRejects(() => full, Error, "No space left");
    const alive = session.time();
    await agent.answer("ok realtime=1 monotonic_ns=2");
    await alive;
  });
});

Deno.test("AgentSession.checkpoint() tells refusals, and callers that a signal ended", async () => {
  await withSession(async (session, agent) => {
    const none = `length=0 hash=${blockHashHex(new Uint8Array())} ${ENDING}`;
    const refused = session.checkpoint({ pid: 9, fd: "none", uid: 5, handledSignal: 10 });
    assertEquals(
      await agent.answer(`ok result=-9 ${none}`),
      "checkpoint nr=390 pid=9 uid=5 handled_signal=10 fd=18446744073709551615",
    );
    const { result, errno } = await refused;
    assertEquals([result, errno], [-9n, 9]);
    const killed = session.checkpoint({ pid: 9 });
    await agent.answer(`ok result=-1 signal=9 ${none}`);
    const end = await killed;
    assertEquals([end.signal, end.errno], [9, 0]);
  });
});

Deno.test("AgentSession.checkpoint() knows the id before, a target's own call included", async () => {
  await withSession(async (session, agent) => {
    const answer = async (result: number, more = "") => {
      const made = session.checkpoint({ pid: 9 });
      await agent.answer(
        `ok result=${result} length=0 hash=${blockHashHex(new Uint8Array())} ${ENDING} ${more}`.trim(),
      );
      const { previousId } = await made;
      return [previousId, session.lastId];
    };
    assertEquals(await answer(1), [0, 1]);
    assertEquals(await answer(-16), [1, 1]);
    assertEquals(await answer(-1, "signal=9"), [1, 1]);
    session.lastId = 4;
    assertEquals(await answer(5), [4, 5]);
  });
});

Deno.test("AgentSession turns `err` into an AgentError, and the session lives", async () => {
  await withSession(async (session, agent) => {
    const failed = session.stop(77);
    await agent.answer("err errno=3 what=no%20such%20process");
    const error = await assertRejects(() => failed, AgentError);
    assertEquals([error.errno, error.what], [3, "no such process"]);
    assertStringIncludes(error.message, "stop pid=77");
    const partly = session.observe(7, ["maps", "smaps"]);
    await agent.hear();
    agent.send(BYTES);
    agent.say(`blob name=maps length=${BYTES.length} hash=${HASH}`);
    agent.say("err errno=2 what=smaps");
    await assertRejects(() => partly, AgentError, "smaps");
    const alive = session.time();
    await agent.answer("ok realtime=1 monotonic_ns=2");
    await alive;
  });
});

Deno.test("AgentSession names command and process when no answer comes in time", async () => {
  await withSession(async (session, agent) => {
    const work = session.quiesce(4321, { deadlineMs: 20 });
    await assertLost(work, "timeout", 'the answer to "quiesce pid=4321"', "a line of console");
    // Even if it speaks later: whose answer would that be?
    agent.say("ok state=S");
    await assertLost(session.time(), "timeout", "quiesce pid=4321");
  });
});

Deno.test("AgentSession gives a guest up whose answer makes no sense", async () => {
  const bad = `blob name=file length=${BYTES.length} hash=${HASH}`;
  const turned = `blob name=file length=${BYTES.length} hash=${"0".repeat(16)}`;
  const cases: [string, (agent: FakeAgent) => void][] = [
    ["expected the digest 0000", (a) => (a.send(BYTES), a.say(turned), a.say("ok"))],
    ["the data port ended", (a) => (a.send(BYTES.subarray(1)), a.say(bad), a.say("ok"), a.hangUp())],
    ["the last line is cut", (a) => (a.raw("ok le"), a.hangUp())],
    ["expected length=", (a) => a.say("blob name=file hash=00")],
    ['found "hello"', (a) => a.say(HELLO)],
    ['expected a blob "file", found none', (a) => a.say("ok")],
    ["expected key=value", (a) => a.say("ok fine")],
    ["the control port ended", (a) => a.hangUp()],
  ];
  for (const [words, act] of cases) {
    await withSession(async (session, agent) => {
      const work = session.results();
      await agent.hear();
      act(agent);
      await assertLost(work, "protocol", words, 'the answer to "readfile');
    });
  }
});

Deno.test("AgentSession gives a guest up whose image is changed, too long, or followed by more", async () => {
  const answer = `ok result=1 length=${BYTES.length} hash=${HASH} ${ENDING}`;
  const changed = BYTES.slice();
  changed[3] = 0;
  const cases: [string, Uint8Array[], string][] = [
    ["expected the digest", [changed], answer],
    [`expected a stream of ${BYTES.length} bytes, found ${2 * BYTES.length}`, [BYTES, BYTES], answer],
    ["expected result=", [BYTES], answer.replace("result=1 ", "")],
  ];
  for (const [words, sent, line] of cases) {
    await withSession(async (session, agent) => {
      const work = session.checkpoint({ pid: 9 });
      await agent.hear();
      for (const bytes of sent) agent.send(bytes);
      // The data is there first, so that all of it counts.
      await new Promise((resolve) => setTimeout(resolve, 10));
      agent.say(line);
      await assertLost(work, "protocol", words, "checkpoint nr=390 pid=9");
    });
  }
});

Deno.test("AgentSession notices at once that a port was closed, also while it waits at the other one", async () => {
  const closed: [string, (agent: FakeAgent, session: AgentSession) => Promise<unknown>][] = [
    ["the data port ended", (agent, session) => (agent.hangUp("data"), session.zombie())],
    ["the data port ended", (agent, session) => (agent.hangUp("data"), session.checkpoint({ pid: 9 }))],
    ["the control port ended", (agent, session) => {
      agent.say(`blob name=file length=7 hash=${HASH}`);
      agent.hangUp("control");
      return session.results();
    }],
  ];
  for (const [words, act] of closed) {
    const { agent, connect } = setScene({ deadlineMs: 60_000 });
    agent.say(HELLO);
    const session = await connect();
    await assertLost(act(agent, session), "protocol", words);
    agent.hangUp();
  }
});

Deno.test("AgentSession gives a guest up that floods, before its flood takes much memory", async () => {
  const most = 1 << 20;
  const flood = new Uint8Array(300_000);
  const floods: [string, (agent: FakeAgent) => void][] = [
    [`more than ${most} bytes that nobody asked for`, (agent) => {
      for (let n = 0; n < 4; n++) agent.send(flood);
    }],
    ["more than 1000 lines at once", (agent) => agent.raw("ok\n".repeat(1100))],
    [`blob "file" of ${2 ** 40} bytes: expected at most ${most} in an answer`, (agent) => {
      agent.say(`blob name=file length=${2 ** 40} hash=${HASH}`);
    }],
    ['blob "file" of -1 bytes', (agent) => agent.say(`blob name=file length=-1 hash=${HASH}`)],
    ['blob "b" of 700000 bytes', (agent) => {
      agent.send(new Uint8Array(700_000));
      agent.say(`blob name=a length=700000 hash=${blockHashHex(new Uint8Array(700_000))}`);
      agent.say(`blob name=b length=700000 hash=${HASH}`);
    }],
  ];
  for (const [words, act] of floods) {
    const { agent, connect } = setScene({ maxBytes: most });
    agent.say(HELLO);
    const session = await connect();
    const work = session.results();
    await agent.hear();
    act(agent);
    await assertLost(work, "protocol", words);
    agent.hangUp();
  }
  const { agent, connect } = setScene({ maxBytes: most });
  agent.say(HELLO);
  const image = (await connect()).checkpoint({ pid: 9 });
  await agent.hear();
  for (let n = 0; n < 4; n++) agent.send(flood);
  await assertLost(image, "protocol", `an image of more than ${most} bytes`);
  agent.hangUp();
});

Deno.test("AgentSession notices words and bytes that nobody asked for", async () => {
  for (const act of [(a: FakeAgent) => a.say("ok"), (a: FakeAgent) => a.send(BYTES)]) {
    await withSession(async (session, agent) => {
      act(agent);
      await new Promise((resolve) => setTimeout(resolve, 10));
      await assertLost(session.time(), "protocol", "expected silence before the command");
    });
  }
});

Deno.test("AgentSession refuses a command that is too long before it says anything", async () => {
  await withSession(async (session, agent) => {
    await assertRejects(() => session.mkdir("x".repeat(5000)), RangeError, "command syscall");
    const alive = session.time();
    await agent.answer("ok realtime=1 monotonic_ns=2");
    await alive;
  });
});
