// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { type ByteConnection, writeAll } from "./byte_channel.ts";
import { type GuestProgramArch } from "../initramfs/build_guest.ts";
import { canStartHostAgent, startHostAgent } from "./testing/host_agent.ts";
import { memoryConnections } from "./testing/memory_link.ts";
import { frameOf, FrameReader, SerialLine } from "./serial_line.ts";

/** Bytes in which flags and escapes come up often. */
function testBytes(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const next = random(seed);
  return Uint8Array.from({ length }, () => next() % 4 === 0 ? 0x7d + next() % 2 : next() & 0xff);
}

function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
}

/** A line that loses, turns or doubles a byte now and then, in both directions, until it is told to stop. */
class NoisyConnection implements ByteConnection {
  readonly #conn: ByteConnection;
  readonly #random: () => number;
  readonly #period: number;
  accidents = 0;

  constructor(conn: ByteConnection, seed: number, period: number) {
    this.#conn = conn;
    this.#random = random(seed);
    this.#period = period;
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      const count = await this.#conn.read(into.subarray(0, into.length / 2));
      if (count === null) return null;
      const spoilt = this.#spoil(into.subarray(0, count));
      into.set(spoilt);
      if (spoilt.length > 0) return spoilt.length;
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    await writeAll(this.#conn, this.#spoil(bytes));
    return bytes.length;
  }

  #spoil(bytes: Uint8Array): Uint8Array {
    const out: number[] = [];
    for (const byte of bytes) {
      if (this.#random() % this.#period !== 0) {
        out.push(byte);
        continue;
      }
      this.accidents++;
      const kind = this.#random() % 3;
      if (kind === 1) out.push(byte ^ 1 << this.#random() % 8);
      if (kind === 2) out.push(byte, byte);
    }
    return Uint8Array.from(out);
  }
}

async function readExactly(connection: ByteConnection, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await connection.read(bytes.subarray(at));
    if (count === null) throw new Error(`the connection ended after ${at} of ${length} bytes`);
    at += count;
  }
  return bytes;
}

Deno.test("FrameReader finds frames between rubbish, and none that is spoilt in any byte", () => {
  const payload = testBytes(100, 1);
  const frame = frameOf(1, 200, payload);
  const found = (bytes: Uint8Array) => [...new FrameReader().take(bytes)].map((body) => body.slice());
  assertEquals(found(Uint8Array.of(1, 2, 3, ...frame, 9, ...frame)), [
    Uint8Array.of(1, 200, ...payload),
    Uint8Array.of(1, 200, ...payload),
  ]);
  for (let at = 1; at < frame.length - 1; at++) {
    for (const bit of [1, 32, 128]) {
      assertEquals(found(frame.map((byte, i) => i === at ? byte ^ bit : byte)), [], `byte ${at}, bit ${bit}`);
    }
    assertEquals(
      found(Uint8Array.of(...frame.subarray(0, at), ...frame.subarray(at + 1))),
      [],
      `without ${at}`,
    );
  }
  assertEquals(found(frame.subarray(0, -1)), []);
  assertEquals(found(frameOf(0, 0, new Uint8Array(3000))), [], "longer than a frame may be");
});

Deno.test("SerialLine carries both channels both ways over a line that spoils bytes", async () => {
  const [here, there] = memoryConnections();
  const noisy = new NoisyConnection(here, 5, 2000);
  const [one, two] = [new SerialLine(noisy, { resendMs: 5 }), new SerialLine(there, { resendMs: 5 })];
  const sent = [testBytes(60_000, 2), testBytes(3000, 3), testBytes(50_000, 4), testBytes(10, 5)] as const;
  const [a, b, c, d] = await Promise.all([
    readExactly(two.data, sent[0].length),
    readExactly(two.control, sent[1].length),
    readExactly(one.data, sent[2].length),
    readExactly(one.control, sent[3].length),
    writeAll(one.data, sent[0]),
    writeAll(one.control, sent[1]),
    writeAll(two.data, sent[2]),
    writeAll(two.control, sent[3]),
  ]);
  assertEquals([a, b, c, d], [...sent]);
  assert(noisy.accidents > 20, `${noisy.accidents} accidents`);
  assert(one.counts.rejected > 0 && one.counts.resent > 0, JSON.stringify(one.counts));
  here.close();
  there.close();
  assertEquals(await one.control.read(new Uint8Array(1)), null);
  assertEquals(await two.data.read(new Uint8Array(1)), null);
});

function agentOverLine(arch: GuestProgramArch, period: number): void {
  Deno.test({
    name: `agent, ${arch}: talks over one line${period > 0 ? " that spoils bytes" : ""}`,
    // Namespaces and mounts are for root.
    ignore: !canStartHostAgent(),
    async fn() {
      let line: SerialLine | undefined;
      const serial = (conn: ByteConnection) =>
        period > 0
          ? line = new SerialLine(new NoisyConnection(conn, 9, period), { resendMs: 20 })
          : line = new SerialLine(conn);
      await using agent = await startHostAgent(arch, { serial });
      const bytes = testBytes(200_000, 7);
      await agent.session.writeFile("/tmp/bytes", bytes);
      assertEquals(await agent.session.readFile("/tmp/bytes"), bytes);
      await agent.session.time();
      if (period > 0) assert(line!.counts.rejected + line!.counts.resent > 5, JSON.stringify(line!.counts));
      else assertEquals(line!.counts, { rejected: 0, resent: 0 });
    },
  });
}

for (const arch of ["x86_64", "i386"] as const) {
  agentOverLine(arch, 0);
  agentOverLine(arch, 20_000);
}
