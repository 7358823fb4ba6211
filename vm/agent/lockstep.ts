// SPDX-License-Identifier: MIT

import type { GdbRemote } from "../qemu/gdb_remote.ts";
import type { ByteConnection } from "./byte_channel.ts";

/** Where the agent stands still (vm/guest/agent/lockstep.c), what it says there, and where it looks for its answer. */
const STOP = 0x3ff00000n;
const SAID = STOP + 64n;
const GIVEN = STOP + 96n;
/** Bytes of what it says: channel, address, room, and what it has written to the data port so far. */
const SAID_BYTES = 32;
/** Bytes that are handed over at once. */
const MAX_GIVEN = 65536;

/** Bytes on their way, and the one that waits for them. */
class Outbox {
  readonly #parts: Uint8Array[] = [];
  #arrived = Promise.withResolvers<void>();

  put(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice());
    this.#arrived.resolve();
  }

  /** Some bytes, as soon as there are any. */
  async take(most: number): Promise<Uint8Array> {
    while (this.#parts.length === 0) {
      this.#arrived = Promise.withResolvers();
      await this.#arrived.promise;
    }
    const part = this.#parts.shift()!;
    if (part.length > most) this.#parts.unshift(part.subarray(most));
    return part.subarray(0, most);
  }
}

/**
 * The ports of a guest that stands still wherever it needs the host. What the host says does not come by a port but
 * into the agent's memory, and the guest goes on when it is there: its clock knows nothing of how long that took.
 */
export class Lockstep {
  readonly control: ByteConnection;
  readonly data: ByteConnection;
  readonly #gdb: GdbRemote;
  readonly #outboxes = [new Outbox(), new Outbox()] as const;
  #read = 0;
  #arrived = Promise.withResolvers<void>();
  #error: unknown;

  /** Takes over a guest that was stopped before its first instruction. */
  constructor(ports: { control: ByteConnection; data: ByteConnection }, gdb: GdbRemote) {
    this.#gdb = gdb;
    this.control = this.#channel(0, (into) => ports.control.read(into));
    this.data = this.#channel(1, async (into) => {
      const count = await ports.data.read(into);
      this.#read += count ?? 0;
      this.#arrived.resolve();
      return count;
    });
    this.#run().catch((error) => this.#error = error);
  }

  #channel(number: 0 | 1, read: ByteConnection["read"]): ByteConnection {
    const write = (bytes: Uint8Array): Promise<number> => {
      if (this.#error !== undefined) return Promise.reject(this.#error);
      this.#outboxes[number].put(bytes);
      return Promise.resolve(bytes.length);
    };
    return { read, write };
  }

  async #run(): Promise<never> {
    await this.#gdb.breakAt(STOP);
    for (let next: bigint | undefined;; next = STOP + 1n) {
      await this.#gdb.goOn(next);
      const said = new BigUint64Array((await this.#gdb.read(SAID, SAID_BYTES)).buffer);
      const [channel, address, room, written] = said as unknown as [bigint, bigint, bigint, bigint];
      while (BigInt(this.#read) < written) {
        this.#arrived = Promise.withResolvers();
        await this.#arrived.promise;
      }
      if (room === 0n) continue;
      const most = room < MAX_GIVEN ? Number(room) : MAX_GIVEN;
      const bytes = await this.#outboxes[channel === 0n ? 0 : 1].take(most);
      await this.#gdb.write(address, bytes);
      await this.#gdb.write(GIVEN, new Uint8Array(BigUint64Array.of(BigInt(bytes.length)).buffer));
    }
  }
}
