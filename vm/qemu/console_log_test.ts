// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConsoleLog } from "./console_log.ts";

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

Deno.test("ConsoleLog keeps bytes and their offsets, NUL and broken UTF-8 included", () => {
  const log = new ConsoleLog();
  log.append(encode("ab\r\n"));
  log.append(new Uint8Array([0, 0xff, 0x0a]));
  assertEquals(log.offset, 7);
  assertEquals([...log.bytes(3, 6)], [0x0a, 0, 0xff]);
  assertEquals(log.text(), "ab\n\u2400\ufffd\n");
});

Deno.test("ConsoleLog drops the oldest bytes beyond its limit and offsets stay true", () => {
  const log = new ConsoleLog(100);
  for (let n = 0; n < 100; n++) log.append(encode(`line ${String(n).padStart(4, "0")}\n`));
  assertEquals(log.offset, 1000);
  assert(log.start >= 800 && log.start <= 900, `start ${log.start}`);
  assertEquals(log.text(990), "line 0099\n");
  assertEquals(log.text(0, 10), "");
  assertEquals(log.tail(2), "line 0098\nline 0099\n");
});

Deno.test("ConsoleLog takes a chunk larger than its buffer", () => {
  const log = new ConsoleLog();
  log.append(new Uint8Array(300_000).fill(0x41));
  assertEquals(log.bytes().length, 300_000);
});

Deno.test("ConsoleLog finds a fatal message that the stream cut in two", async () => {
  const log = new ConsoleLog();
  log.append(encode("fine\n[    1.0] Kernel pan"));
  assert(!log.sawFatal);
  log.append(encode("ic - not syncing: VFS\nmore"));
  assert(log.sawFatal);
  assertEquals(await log.fatal, "[    1.0] Kernel panic - not syncing: VFS");
});

Deno.test("ConsoleLog gives the whole line of a fatal message, once the rest of it has come", async () => {
  const log = new ConsoleLog();
  assertEquals(log.fatalLine, undefined);
  log.append(encode("fine\nKernel panic - not syncing: Attempted to ki"));
  assertEquals(await log.fatal, "Kernel panic - not syncing: Attempted to ki");
  log.append(encode("ll init!\r\nOops: 1\n"));
  assertEquals(log.fatalLine, "Kernel panic - not syncing: Attempted to kill init!");
});

Deno.test("ConsoleLog knows an oops, and does not mistake other lines for one", () => {
  for (const line of ["Oops: 0000 [#1] PREEMPT", "BUG: unable to handle page fault for address: 0"]) {
    const log = new ConsoleLog();
    log.append(encode(`${line}\n`));
    assert(log.sawFatal, line);
  }
  const log = new ConsoleLog();
  log.append(encode("Command line: oops=panic panic=-1\nrandom: Oopsie\n"));
  assert(!log.sawFatal);
});

Deno.test("ConsoleLog refuses a limit that is no size", () => {
  assertThrows(() => new ConsoleLog(0), RangeError, "found 0");
});
