// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { GuestLostError } from "../../../vm/qemu/guest_lost_error.ts";
import { ConsoleLog } from "../../../vm/qemu/console_log.ts";
import type { Qmp } from "../../../vm/qemu/qmp.ts";
import { GuestSnapshots } from "./guest_snapshots.ts";
import type { VirtualGuest, VirtualGuestOptions } from "./virtual_guest.ts";

type Options = Pick<VirtualGuestOptions, "info" | "snapshot" | "snapshotFile">;

const LOST = new GuestLostError({ reason: "timeout", awaited: "hello", consoleTail: "", argv: ["qemu"] });
const INFO = { release: "6.1" };
const STATE = Uint8Array.of(1, 2, 3);

/** Guests with a file each, and a QEMU that writes its state. */
function fakeStart({ isCopied = true, migrates = true } = {}) {
  const log: string[] = [];
  let nonce = "";
  let open = 0;
  const start = (options: Options): Promise<VirtualGuest> => {
    const kind = options.snapshot ? "goes on" : options.snapshotFile ? "is kept" : "boots";
    log.push(kind);
    open++;
    const console = new ConsoleLog();
    console.append(new TextEncoder().encode("booted"));
    const monitor = {
      ignoreSharedMemory: () => Promise.resolve(),
      migrate: async (path: string) => {
        if (!migrates) throw new Error("a device cannot be migrated");
        const conn = await Deno.connect({ transport: "unix", path });
        await conn.write(STATE);
        conn.close();
      },
      hasMigrated: () => Promise.resolve(true),
    } as unknown as Qmp;
    return Promise.resolve({
      agent: {
        info: INFO,
        writeFile: (_: string, text: string) => Promise.resolve(void (nonce = text)),
        readFile: () => Promise.resolve(new TextEncoder().encode(isCopied ? nonce : "other")),
      },
      machine: { monitor, console, waitFor: <T>(_: unknown, work: Promise<T>) => work },
      options,
      [Symbol.asyncDispose]: () => Promise.resolve(void open--),
    } as unknown as VirtualGuest);
  };
  return { start, log, open: () => open };
}

Deno.test("GuestSnapshots boots one guest, and the others go on from there", async () => {
  const { start, log, open } = fakeStart();
  await using snapshots = new GuestSnapshots(start);
  const [first, second] = await Promise.all([snapshots.start(), snapshots.start()]);
  assertEquals([log, open()], [["is kept", "goes on", "goes on"], 2]);
  const { info, snapshot } = (first as unknown as { options: Options }).options;
  assertEquals(info as unknown, INFO);
  assertEquals([snapshot?.state, new TextDecoder().decode(snapshot?.console)], [STATE, "booted"]);
  await Promise.all([first, second].map((guest) => guest[Symbol.asyncDispose]()));
  await snapshots.start();
  assertEquals(log.at(-1), "goes on");
});

Deno.test("GuestSnapshots boots guests where there is no snapshot, or another one came", async () => {
  for (
    const [options, expected] of [
      [{ migrates: false }, ["is kept", "boots", "boots"]],
      [{ isCopied: false }, ["is kept", "goes on", "boots", "goes on", "boots"]],
    ] as const
  ) {
    const { start, log, open } = fakeStart(options);
    await using snapshots = new GuestSnapshots(start);
    await snapshots.start();
    await snapshots.start();
    assertEquals([log, open()], [expected, 2]);
  }
});

Deno.test("GuestSnapshots fails as a boot does, and tries again", async () => {
  const { start, log } = fakeStart();
  let boots = 0;
  const lost = (options: Options) => boots++ === 0 ? Promise.reject(LOST) : start(options);
  await using snapshots = new GuestSnapshots(lost);
  await assertRejects(() => snapshots.start(), GuestLostError);
  await snapshots.start();
  assertEquals(log, ["is kept", "goes on"]);
});
