// SPDX-License-Identifier: MIT
import type { GuestLink } from "../agent_session.ts";
import { DeadlineError, withDeadline } from "../../host/deadline.ts";
import { GuestLostError } from "../../qemu/guest_lost_error.ts";
import type { ByteConnection } from "../byte_channel.ts";

/** One direction of a stream in memory. */
class MemoryStream {
  readonly #chunks: Uint8Array[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  put(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#chunks.push(bytes.slice());
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.#chunks.shift() as Uint8Array;
    const part = chunk.subarray(0, into.length);
    if (part.length < chunk.length) this.#chunks.unshift(chunk.subarray(part.length));
    into.set(part);
    return part.length;
  }
}

/** A two-way stream in memory: what one end writes, the other reads. */
export function memoryConnections(): [MemoryConnection, MemoryConnection] {
  const there = new MemoryStream();
  const back = new MemoryStream();
  return [new MemoryConnection(back, there), new MemoryConnection(there, back)];
}

/** One end of {@linkcode memoryConnections}. */
export class MemoryConnection implements ByteConnection {
  readonly #in: MemoryStream;
  readonly #out: MemoryStream;

  /** For {@linkcode memoryConnections}. */
  constructor(incoming: MemoryStream, outgoing: MemoryStream) {
    this.#in = incoming;
    this.#out = outgoing;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#in.read(into);
  }

  write(bytes: Uint8Array): Promise<number> {
    this.#out.put(bytes);
    return Promise.resolve(bytes.length);
  }

  /** The other end reads the end of the stream after what was written. */
  close(): void {
    this.#out.end();
  }
}

/** A link over two connections, for tests: it knows deadlines, but no QEMU. */
export function linkOver(control: ByteConnection, data: ByteConnection): GuestLink {
  const lost: GuestLink["lost"] = (reason, awaited, detail = "") =>
    new GuestLostError({ reason, awaited, detail, consoleTail: "a line of console\n", argv: ["fake-guest"] });
  return {
    control,
    data,
    lost,
    async waitFor({ awaited, deadlineMs }, work) {
      try {
        return await withDeadline(work, deadlineMs, awaited);
      } catch (error) {
        throw error instanceof DeadlineError ? lost("timeout", awaited, error.message) : error;
      }
    },
  };
}
