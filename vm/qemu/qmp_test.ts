// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { Qmp } from "./qmp.ts";

/** A connection whose other end answers each line with some others. */
function scripted(answer: (command: string, id: number) => string[]): Deno.Conn {
  const { readable, writable } = new TransformStream<string, string>();
  const writer = writable.getWriter();
  const reader = readable.pipeThrough(new TextEncoderStream()).getReader();
  writer.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
  const conn: Partial<Deno.Conn> = {
    write(bytes) {
      const { execute, arguments: args, id } = JSON.parse(new TextDecoder().decode(bytes));
      const name = args["command-line"] ?? execute;
      for (const line of answer(name, id)) writer.write(line.startsWith("x") ? line : `${line}\r\n`);
      if (name === "quit") writer.close();
      return Promise.resolve(bytes.length);
    },
    async read(buffer) {
      const { value } = await reader.read();
      if (value === undefined) return null;
      buffer.set(value);
      return value.length;
    },
  };
  return conn as Deno.Conn;
}

Deno.test("Qmp gives each command its answer, and tells of events", async () => {
  const held: string[] = [];
  const qmp = new Qmp(scripted((name, id) => {
    const line = `{"return": "to ${name}", "id": ${id}}`;
    if (name === "first") return (held.push(line), []);
    return ['{"event": "RESUME", "timestamp": {}}', line, ...held];
  }));
  const resumed = qmp.event("RESUME");
  const first = qmp.monitor("first");
  assertEquals(await qmp.monitor("second"), "to second");
  assertEquals(await first, "to first");
  await resumed;
});

Deno.test("Qmp rejects what QEMU refuses, and all that is asked when it is gone or talks nonsense", async () => {
  const qmp = new Qmp(scripted((name, id) => {
    if (name === "bad") return [`{"error": {"class": "X", "desc": "no such command"}, "id": ${id}}`];
    return name === "nonsense" ? ['{"event": 5}'] : [];
  }));
  await assertRejects(() => qmp.monitor("bad"), Error, "no such command");
  const never = assertRejects(() => qmp.event("STOP"), Error, "QEMU's monitor");
  await assertRejects(() => qmp.monitor("nonsense"), Error, "Expected string");
  await never;
  await assertRejects(() => qmp.monitor("later"), Error, "QEMU's monitor");
  const closed = new Qmp(scripted(() => []));
  await assertRejects(() => closed.monitor("quit"), Error, "it is closed");
  const flood = new Qmp(scripted((name) => name === "flood" ? Array(20).fill("x".repeat(60_000)) : []));
  await assertRejects(() => flood.monitor("flood"), Error, "a line of more than");
});
