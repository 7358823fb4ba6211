// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { AgentError, AgentSession, decodePages, type SessionOptions } from "./agent_session.ts";
import { blockHashHex } from "../../lib/compare/block_hash.ts";
import { LineQueue } from "./byte_channel.ts";
import { linkOver, type MemoryConnection, memoryConnections } from "./memory_link.ts";
import { GuestLostError, type GuestLostReason } from "../qemu/guest_lost_error.ts";

const HELLO = "hello proto=1 arch=x86_64 wordsize=8 pagesize=4096 sysname=Linux release=6.1.192 " +
  "version=%231%20SMP machine=x86_64 zeropfn=0x1f cpus=1";
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

  hangUp(): void {
    this.#control.close();
    this.#data.close();
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
      pageSize: 4096,
      sysname: "Linux",
      release: "6.1.192",
      version: "#1 SMP",
      machine: "x86_64",
      zeroPageFrame: 31n,
      cpus: 1,
    });
    return Promise.resolve();
  });
});

Deno.test("AgentSession.connect() gives up an agent that is silent, cut off, or speaks another protocol", async () => {
  // A slow line makes no kernel slow.
  const silent = setScene({ bootDeadlineMs: 20, slowdown: 1000 });
  await assertLost(silent.connect(), "timeout", "the agent's hello", "waited 0.02 s");
  const cases: [string, string][] = [
    [`${HELLO.replace("proto=1", "proto=2")}\n`, "expected protocol 1, found 2"],
    ["Linux version 6.1\n", "expected a word at the start"],
    [`${HELLO.replace(" cpus=1", "")}\n`, "expected cpus="],
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
      session.ping(5),
      session.spawn({ path: "/a b", uid: 7 }),
      session.exec(["sh", "-c", "echo 50%"], { env: { A: "1" } }),
      session.mount({ type: "tmpfs", directory: "/m", data: "size=1m" }),
      session.kill(12, { signal: 15 }),
    ]);
    assertEquals(await agent.answer("ok n=5"), "ping n=5");
    assertEquals(await agent.answer("ok pid=31"), "spawn path=/a%20b uid=7");
    assertEquals(
      await agent.answer("ok pid=32 stdout=/o stderr=/e"),
      "exec env=A=1 arg=sh arg=-c arg=echo%2050%25",
    );
    assertEquals(await agent.answer("ok"), "mount type=tmpfs dir=/m data=size=1m");
    assertEquals(await agent.answer("ok sig=15"), "kill pid=12 sig=15");
    assertEquals(await results, [undefined, 31, { pid: 32, stdout: "/o", stderr: "/e" }, undefined, {
      signal: 15,
    }]);
  });
});

Deno.test("AgentSession understands every event and every state", async () => {
  await withSession(async (session, agent) => {
    const events: [string, unknown][] = [
      ["event=stop label=3 pid=9 scratch=0x404000 resume=0x400100", {
        kind: "stop",
        pid: 9,
        label: 3,
        scratch: 0x404000n,
        resumeAddress: 0x400100n,
      }],
      ["event=exit pid=9 code=42", { kind: "exit", pid: 9, code: 42 }],
      ["event=signal pid=9 sig=11", { kind: "signal", pid: 9, signal: 11 }],
    ];
    for (const [line, expected] of events) {
      const event = session.event();
      await agent.answer(`ok ${line}`);
      assertEquals(await event, expected);
    }
    const quiet = session.quiesce(4);
    await agent.answer("ok state=S syscall=0%200x0");
    assertEquals(await quiet, { state: "S", syscall: "0 0x0" });
    const ended = session.quiesce(4);
    await agent.answer("ok state=exited code=1");
    assertEquals(await ended, { state: "exited", code: 1 });
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
    const answer = new Uint8Array(Uint32Array.of(0x11, 0x22, 0xffffffff, 0xffffffff).buffer);
    agent.send(answer);
    agent.say(`blob name=pagehash length=16 hash=${blockHashHex(answer)}`);
    agent.say("ok");
    assertEquals([...await hashes], [0x11_0000_0022n, 2n ** 64n - 1n]);
  });
});

const ENDING = "t0=100 t1=101 ns=12345";

Deno.test("AgentSession.checkpoint() brings an image home, whole or to a sink", async () => {
  await withSession(async (session, agent) => {
    const image = Uint8Array.from({ length: 3_000_001 }, (_, i) => i * 7 >> 3);
    const answer = `ok ret=1 errno=0 length=${image.length} hash=${blockHashHex(image)} ${ENDING}`;
    const whole = session.checkpoint({ pid: 9 });
    assertEquals(await agent.hear(), "checkpoint nr=390 pid=9 flags=0 to=pipe");
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
    assertEquals(await agent.hear(), "checkpoint nr=390 pid=18446744073709551615 flags=1 to=pipe");
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
    agent.say(`ok ret=1 errno=0 length=${both.length} hash=${blockHashHex(both)} ${ENDING}`);
    await assertRejects(() => full, Error, "No space left");
    const alive = session.ping(1);
    await agent.answer("ok n=1");
    await alive;
  });
});

Deno.test("AgentSession.checkpoint() tells refusals, and callers that a signal ended", async () => {
  await withSession(async (session, agent) => {
    const none = `length=0 hash=${blockHashHex(new Uint8Array())} ${ENDING}`;
    const refused = session.checkpoint({ pid: 9, to: "none", uid: 5 });
    assertEquals(
      await agent.answer(`ok ret=-9 errno=9 ${none}`),
      "checkpoint nr=390 pid=9 flags=0 to=none uid=5",
    );
    assertEquals((await refused).result, -9n);
    const killed = session.checkpoint({ pid: 9, signalAfter: { bytes: 10, signal: 9, handled: true } });
    assertEquals(
      await agent.answer(`ok ret=-1 errno=0 signal=9 ${none}`),
      "checkpoint nr=390 pid=9 flags=0 to=pipe sigafter=10 sig=9 handled=1",
    );
    assertEquals((await killed).signal, 9);
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
    const alive = session.ping(1);
    await agent.answer("ok n=1");
    await alive;
  });
});

Deno.test("AgentSession names command and process when no answer comes in time", async () => {
  await withSession(async (session, agent) => {
    const work = session.quiesce(4321, { deadlineMs: 20 });
    await assertLost(work, "timeout", 'the answer to "quiesce pid=4321"', "a line of console");
    // Even if it speaks later: whose answer would that be?
    agent.say("ok state=S syscall=0");
    await assertLost(session.ping(1), "timeout", "quiesce pid=4321");
  });
});

Deno.test("AgentSession gives a guest up whose answer makes no sense", async () => {
  const bad = `blob name=results length=${BYTES.length} hash=${HASH}`;
  const turned = `blob name=results length=${BYTES.length} hash=${"0".repeat(16)}`;
  const cases: [string, (agent: FakeAgent) => void][] = [
    ["expected the digest 0000", (a) => (a.send(BYTES), a.say(turned), a.say("ok"))],
    ["the data port ended", (a) => (a.send(BYTES.subarray(1)), a.say(bad), a.say("ok"), a.hangUp())],
    ["the last line is cut", (a) => (a.raw("ok le"), a.hangUp())],
    ["expected length=", (a) => a.say("blob name=results hash=00")],
    ['found "hello"', (a) => a.say(HELLO)],
    ['expected a blob "results", found none', (a) => a.say("ok")],
    ["expected key=value", (a) => a.say("ok fine")],
    ["the control port ended", (a) => a.hangUp()],
  ];
  for (const [words, act] of cases) {
    await withSession(async (session, agent) => {
      const work = session.results();
      await agent.hear();
      act(agent);
      await assertLost(work, "protocol", words, 'the answer to "results"');
    });
  }
});

Deno.test("AgentSession gives a guest up whose image is changed, too long, or followed by more", async () => {
  const answer = `ok ret=1 errno=0 length=${BYTES.length} hash=${HASH} ${ENDING}`;
  const changed = BYTES.slice();
  changed[3] = 0;
  const cases: [string, Uint8Array[], string][] = [
    ["expected the digest", [changed], answer],
    [`expected a stream of ${BYTES.length} bytes, found ${2 * BYTES.length}`, [BYTES, BYTES], answer],
    ["expected errno=", [BYTES], answer.replace("errno=0 ", "")],
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

Deno.test("AgentSession notices words and bytes that nobody asked for", async () => {
  for (const act of [(a: FakeAgent) => a.say("ok"), (a: FakeAgent) => a.send(BYTES)]) {
    await withSession(async (session, agent) => {
      act(agent);
      await new Promise((resolve) => setTimeout(resolve, 10));
      await assertLost(session.ping(1), "protocol", "expected silence before the command");
    });
  }
});

Deno.test("AgentSession refuses a command that is too long before it says anything", async () => {
  await withSession(async (session, agent) => {
    await assertRejects(() => session.mkdir("x".repeat(5000)), RangeError, "command mkdir");
    const alive = session.ping(1);
    await agent.answer("ok n=1");
    await alive;
  });
});

Deno.test("decodePages() takes addresses and entries apart, and refuses a cut list", () => {
  const blob = new Uint8Array(BigUint64Array.of(0x1000n, 1n << 63n, 0x2000n, 1n << 62n).buffer);
  assertEquals(decodePages(blob), [
    { address: 0x1000n, entry: 1n << 63n },
    { address: 0x2000n, entry: 1n << 62n },
  ]);
  assertThrows(() => decodePages(blob.subarray(1)), RangeError, "multiple of 16 bytes, found 31");
});
