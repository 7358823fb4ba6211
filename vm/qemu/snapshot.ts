// SPDX-License-Identifier: MIT

import type { ConsoleLog } from "./console_log.ts";
import type { Qmp } from "./qmp.ts";

/** A guest as it was: others go on from there. */
export interface Snapshot {
  /** Its memory. No guest that goes on from there changes it. */
  readonly memoryFile: string;
  /** Its processors and devices, as QEMU writes them. */
  readonly state: Uint8Array;
  /** What its kernel had said. */
  readonly console: Uint8Array;
}

interface SnapshotMachine {
  readonly monitor: Qmp;
  readonly console: ConsoleLog;
  waitFor<T>(wait: { awaited: string; deadlineMs: number }, work: Promise<T>): Promise<T>;
}

const DEADLINE_MS = 10_000;
/** Without memory it is 43 KB with one processor. */
const MAX_STATE = 16 << 20;

/**
 * Stops a guest for good, and makes a snapshot of it.
 *
 * @param memoryFile the `snapshotFile` that it was started with
 * @param socket path of a UNIX socket, which is made for this
 * @throws {GuestLostError} when that takes too long, or QEMU ends
 */
export async function takeSnapshot(
  machine: SnapshotMachine,
  { memoryFile, socket }: { memoryFile: string; socket: string },
): Promise<Snapshot> {
  using listener = Deno.listen({ transport: "unix", path: socket });
  const work = async (): Promise<Uint8Array> => {
    await machine.monitor.ignoreSharedMemory();
    await machine.monitor.migrate(socket);
    using conn = await listener.accept();
    const state = await readState(conn);
    if (!await machine.monitor.hasMigrated()) throw new Error("QEMU did not write the whole of it");
    return state;
  };
  const wait = { awaited: "the state of the guest", deadlineMs: DEADLINE_MS };
  const state = await machine.waitFor(wait, work());
  return { memoryFile, state, console: machine.console.bytes() };
}

async function readState(conn: Deno.Conn): Promise<Uint8Array> {
  const state = new Uint8Array(new ArrayBuffer(0, { maxByteLength: MAX_STATE }));
  const { buffer } = state;
  const part = new Uint8Array(64 << 10);
  for (let got; (got = await conn.read(part)) !== null;) {
    const at = buffer.byteLength;
    if (at + got > MAX_STATE) throw new RangeError(`the state of a guest: more than ${MAX_STATE} bytes`);
    buffer.resize(at + got);
    state.set(part.subarray(0, got), at);
  }
  return state.slice();
}

/**
 * Has a guest that was started for it go on from a snapshot.
 *
 * @param socket path of the UNIX socket on which its QEMU waits
 */
export async function sendState(
  machine: SnapshotMachine,
  socket: string,
  { state }: Pick<Snapshot, "state">,
): Promise<void> {
  const work = async (): Promise<void> => {
    await machine.monitor.ignoreSharedMemory();
    using conn = await Deno.connect({ transport: "unix", path: socket });
    for (let at = 0; at < state.length;) at += await conn.write(state.subarray(at));
  };
  await machine.waitFor({ awaited: "the guest to go on", deadlineMs: DEADLINE_MS }, work());
}
