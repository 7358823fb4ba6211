// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { GdbRemote } from "./gdb_remote.ts";

/** QEMU's end: notes what is asked, and gives the next answer, in pieces. */
function scripted(answers: readonly string[]): { gdb: GdbRemote; asked: string[] } {
  const asked: string[] = [];
  let left: string[] = [];
  const write = (bytes: Uint8Array): Promise<number> => {
    asked.push(new TextDecoder().decode(bytes));
    const answer = answers[asked.length - 1] ?? "";
    left = [`+${answer.slice(0, 2)}`, answer.slice(2)];
    return Promise.resolve(bytes.length);
  };
  const read = (into: Uint8Array): Promise<number | null> => {
    const text = left.shift();
    if (text === undefined) return Promise.resolve(null);
    return Promise.resolve(new TextEncoder().encodeInto(text, into).written);
  };
  return { gdb: new GdbRemote({ read, write }), asked };
}

Deno.test("GdbRemote asks as gdb does, and acknowledges nothing", async () => {
  const { gdb, asked } = scripted(["$OK#9a", "$T05thread:01;#07", "$0aff#c7", "$OK#9a", "$OK#9a", "$T05#b9"]);
  await gdb.breakAt(0x3ff00000n);
  await gdb.goOn();
  assertEquals(await gdb.read(0x1000n, 2), Uint8Array.of(0x0a, 0xff));
  await gdb.write(0x2000n, new Uint8Array(1025).fill(0xab));
  await gdb.goOn(0x10n);
  const [first, ...others] = asked;
  assertEquals(first, "$Z0,3ff00000,1#02");
  assertEquals(others.map((packet) => packet.slice(0, 14)), [
    "$c#63",
    "$m1000,2#8c",
    "$M2000,400:aba",
    "$M2400,1:ab#6d",
    "$c10#c4",
  ]);
});

Deno.test("GdbRemote takes no for no, nonsense for nonsense, and an end for an end", async () => {
  const fails = (answer: string, ask: (gdb: GdbRemote) => Promise<unknown>, says: string) =>
    assertRejects(() => ask(scripted([answer]).gdb), Error, says);
  await fails("$E14#aa", (gdb) => gdb.write(1n, Uint8Array.of(1)), "expected OK, found E14");
  await fails("$E14#aa", (gdb) => gdb.read(1n, 4), "expected 4 bytes at 0x1");
  await fails("$zz#f4", (gdb) => gdb.read(1n, 1), "expected 1 bytes at 0x1");
  await fails("$W00#b7", (gdb) => gdb.goOn(), "expected T05, found W00");
  await fails("$OK", (gdb) => gdb.breakAt(1n), "QEMU has ended");
  await fails(`$${"0".repeat(15_000)}`, (gdb) => gdb.breakAt(1n), "QEMU has ended");
});
