// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects } from "@std/assert";
import { DeadlineError } from "../host/deadline.ts";
import { QmpClient, QmpError } from "./qmp.ts";

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';

/** Plays QEMU: sends a greeting, then hands each command to `answer` and sends what it gives. */
async function withFakeQemu(
  answer: (command: { execute: string; id: number }) => string | null,
  use: (conn: Deno.Conn) => Promise<void>,
  greeting = GREETING,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  const listener = Deno.listen({ transport: "unix", path: `${dir}/s` });
  const served = (async () => {
    using conn = await listener.accept();
    // In two halves, apart in time: the client must put lines together.
    const send = async (text: string) => {
      const bytes = new TextEncoder().encode(text);
      await conn.write(bytes.subarray(0, bytes.length >> 1));
      await new Promise((resolve) => setTimeout(resolve, 5));
      await conn.write(bytes.subarray(bytes.length >> 1));
    };
    await send(greeting);
    const buffer = new Uint8Array(65536);
    for (let got; (got = await conn.read(buffer)) !== null;) {
      const line = new TextDecoder().decode(buffer.subarray(0, got));
      const reply = answer(JSON.parse(line));
      if (reply === null) return;
      await send(reply);
    }
  })().catch(() => {});
  const conn = await Deno.connect({ transport: "unix", path: `${dir}/s` });
  try {
    await use(conn);
  } finally {
    try {
      conn.close();
    } catch {
      // Closed by the client.
    }
    await served;
    listener.close();
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("QmpClient carries commands out by id, past events and halves of lines", async () => {
  const event = '{"event":"RESUME","timestamp":{"seconds":1,"microseconds":2}}\r\n';
  await withFakeQemu(({ execute, id }) => {
    if (execute === "qmp_capabilities") return `{"return": {}, "id": ${id}}\r\n`;
    return `${event}{"return": {"status": "running"}, "id": ${id}}\r\n`;
  }, async (conn) => {
    const client = await QmpClient.connect(conn);
    assertEquals(await client.execute("query-status"), { status: "running" });
    assertEquals(client.events.map(({ event }) => event), ["RESUME"]);
    await client.close();
    await assertRejects(() => client.execute("stop"), QmpError, "closed");
  });
});

Deno.test("QmpClient gives QEMU's refusal as an error with its class", async () => {
  await withFakeQemu(({ execute, id }) => {
    if (execute === "qmp_capabilities") return `{"return": {}, "id": ${id}}\n`;
    return `{"error": {"class": "CommandNotFound", "desc": "no such thing"}, "id": ${id}}\n`;
  }, async (conn) => {
    const client = await QmpClient.connect(conn);
    const error = await assertRejects(() => client.execute("nonsense"), QmpError, "no such thing");
    assertEquals(error.kind, "CommandNotFound");
    await client.close();
  });
});

Deno.test("QmpClient names what it waited for when QEMU is silent", async () => {
  await withFakeQemu(() => "\n", async (conn) => {
    await assertRejects(() => QmpClient.connect(conn, 30), DeadlineError, "greeting");
  }, "\n");
  await withFakeQemu(
    ({ execute, id }) => execute === "qmp_capabilities" ? `{"return": {}, "id": ${id}}\n` : "\n",
    async (conn) => {
      const client = await QmpClient.connect(conn);
      await assertRejects(() => client.execute("stop", {}, 30), DeadlineError, "QEMU's answer to stop");
      await client.close();
    },
  );
});

Deno.test("QmpClient fails commands under way when QEMU hangs up", async () => {
  await withFakeQemu(
    ({ execute, id }) => execute === "qmp_capabilities" ? `{"return": {}, "id": ${id}}\n` : null,
    async (conn) => {
      const client = await QmpClient.connect(conn);
      await assertRejects(() => client.execute("stop"), QmpError, "closed its control socket");
      await client.close();
    },
  );
});
