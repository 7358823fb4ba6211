// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import type { GdbRemote } from "../qemu/gdb_remote.ts";
import type { ByteConnection } from "./byte_channel.ts";
import { Lockstep } from "./lockstep.ts";

/** What an agent says when it stands still: channel, address, room, written. */
type Said = readonly [number, number, number, number];

/** A guest that stands still so many times, and then for ever or with an error. */
function guestOf(
  stops: readonly Said[],
  error?: Error,
): { gdb: GdbRemote; log: string[]; done: Promise<void> } {
  const log: string[] = [];
  const { promise: done, resolve } = Promise.withResolvers<void>();
  let stop = -1;
  const gdb = {
    breakAt: () => Promise.resolve(),
    goOn: (address?: bigint) => {
      log.push(`on ${address ?? "from the start"}`);
      if (++stop < stops.length) return Promise.resolve();
      resolve();
      return error ? Promise.reject(error) : new Promise<void>(() => {});
    },
    read: () => Promise.resolve(new Uint8Array(BigUint64Array.from(stops[stop]!.map(BigInt)).buffer)),
    write: (address: bigint, bytes: Uint8Array) => {
      log.push(`${address} ${bytes.join(",")}`);
      return Promise.resolve();
    },
  } as Pick<GdbRemote, "breakAt" | "goOn" | "read" | "write"> as GdbRemote;
  return { gdb, log, done };
}

function portOf(...reads: readonly number[]): ByteConnection {
  const left = [...reads];
  return {
    read: () => Promise.resolve(left.shift() ?? null),
    write: () => Promise.reject(new Error("nothing goes by a port")),
  };
}

Deno.test("Lockstep puts what the host says into the agent's memory, as much as there is room for", async () => {
  const { gdb, log, done } = guestOf([[0, 100, 2, 0], [1, 200, 4096, 0], [0, 100, 2, 0]]);
  const { control, data } = new Lockstep({ control: portOf(), data: portOf() }, gdb);
  await control.write(Uint8Array.of(1, 2, 3));
  await data.write(Uint8Array.of(9));
  await done;
  assertEquals(log.filter((line) => !line.startsWith("on")), [
    "100 1,2",
    "1072693344 2,0,0,0,0,0,0,0",
    "200 9",
    "1072693344 1,0,0,0,0,0,0,0",
    "100 3",
    "1072693344 1,0,0,0,0,0,0,0",
  ]);
  assertEquals(log.filter((line) => line.startsWith("on")), [
    "on from the start",
    ...Array(3).fill("on 1072693249"),
  ]);
});

Deno.test("Lockstep lets the guest go on when the host has read what the guest wrote", async () => {
  const { gdb, log, done } = guestOf([[1, 0, 0, 150]]);
  const { data } = new Lockstep({ control: portOf(), data: portOf(100, 50) }, gdb);
  assertEquals(await data.read(new Uint8Array(200)), 100);
  assertEquals(log, ["on from the start"]);
  assertEquals(await data.read(new Uint8Array(200)), 50);
  await done;
  assertEquals(log, ["on from the start", "on 1072693249"]);
});

Deno.test("Lockstep that cannot go on says so to whoever writes next", async () => {
  const { gdb, done } = guestOf([], new Error("QEMU has ended"));
  const { control } = new Lockstep({ control: portOf(), data: portOf() }, gdb);
  await done;
  await new Promise((resolve) => setTimeout(resolve));
  await assertRejects(() => control.write(Uint8Array.of(1)), Error, "QEMU has ended");
});
