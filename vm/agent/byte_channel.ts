// SPDX-License-Identifier: MIT
import { byteText } from "../../lib/printable.ts";

/** One end of a two-way byte stream, as `Deno.Conn` has it. */
export interface ByteConnection {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
}

/** What takes bytes as they arrive. */
export type ByteSink = (bytes: Uint8Array<ArrayBuffer>) => void | Promise<void>;

/** Writes all bytes of a block. */
export async function writeAll(connection: ByteConnection, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Arrivals of any kind, and the one reader that waits for them. */
class Arrivals {
  #waiter: PromiseWithResolvers<void> | undefined;
  #error: unknown;

  notify(): void {
    this.#waiter?.resolve();
    this.#waiter = undefined;
  }

  /** From now on all waiting ends with this error. The first one counts. */
  fail(error: unknown): void {
    this.#error ??= error;
    this.#waiter?.reject(this.#error);
    this.#waiter = undefined;
  }

  wait(): Promise<void> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    this.#waiter = Promise.withResolvers();
    return this.#waiter.promise;
  }
}

const READ_BYTES = 256 * 1024;
/** Lines that may wait to be read: an answer has some ten. */
const MAX_LINES = 1000;

/**
 * Drains a connection without pause, so that a guest never waits for us. Bytes queue up, or go to a sink
 * while there is one (whose promise holds the connection back).
 */
export class ByteQueue {
  readonly #arrivals = new Arrivals();
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];
  #sink: ByteSink | undefined;
  /** Number of bytes that wait to be taken. */
  length = 0;

  /**
   * @param maxBytes most that may wait: who sends more floods
   * @param onEnd is called once when the connection ends or fails.
   */
  constructor(connection: ByteConnection, maxBytes: number, onEnd: (error: unknown) => void) {
    this.#drain(connection, maxBytes).then(onEnd, onEnd);
  }

  async #drain(connection: ByteConnection, maxBytes: number): Promise<void> {
    let buffer = new Uint8Array(READ_BYTES);
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) return;
      if (this.#sink !== undefined) {
        await this.#sink(buffer.subarray(0, count));
        this.#arrivals.notify();
        continue;
      }
      // A small arrival is copied, so that it does not keep a large buffer.
      const large = count > buffer.length / 4;
      this.#chunks.push(large ? buffer.subarray(0, count) : buffer.slice(0, count));
      if (large) buffer = new Uint8Array(READ_BYTES);
      this.length += count;
      if (this.length > maxBytes) throw new SyntaxError(`more than ${maxBytes} bytes that nobody asked for`);
      this.#arrivals.notify();
    }
  }

  /** Ends all waiting, now and later. */
  fail(error: unknown): void {
    this.#arrivals.fail(error);
  }

  /** Exactly so many bytes, as soon as they are there. */
  async take(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) {
        await this.#arrivals.wait();
        continue;
      }
      const part = chunk.subarray(0, length - at);
      if (part.length < chunk.length) this.#chunks.unshift(chunk.subarray(part.length));
      bytes.set(part, at);
      at += part.length;
      this.length -= part.length;
    }
    return bytes;
  }

  /** Sends all bytes to a sink, those that wait first, until `undefined` is set. The bytes are the sink's only until
   * its promise is done. */
  async setSink(sink: ByteSink | undefined): Promise<void> {
    this.#sink = sink;
    if (sink === undefined) return;
    for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) {
      this.length -= chunk.length;
      await sink(chunk);
    }
  }

  /** Waits until something has arrived, in the queue or at the sink. */
  arrival(): Promise<void> {
    return this.#arrivals.wait();
  }
}

/** The lines that arrive on a connection. */
export class LineQueue {
  readonly #arrivals = new Arrivals();
  readonly #lines: string[] = [];

  /** @param onEnd is called once when the connection ends or fails, or sends what is no line. */
  constructor(connection: ByteConnection, maxBytes: number, onEnd: (error: unknown) => void) {
    this.#drain(connection, maxBytes).then(onEnd, onEnd);
  }

  async #drain(connection: ByteConnection, maxBytes: number): Promise<void> {
    const buffer = new Uint8Array(4 * maxBytes);
    let rest = "";
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) {
        if (rest !== "") throw new SyntaxError(`the last line is cut: ${JSON.stringify(rest.slice(0, 80))}`);
        return;
      }
      const lines = (rest + byteText(buffer.subarray(0, count))).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length >= maxBytes) throw new SyntaxError(`a line of more than ${maxBytes - 1} bytes`);
      this.#lines.push(...lines);
      if (this.#lines.length > MAX_LINES) throw new SyntaxError(`more than ${MAX_LINES} lines at once`);
      if (lines.length > 0) this.#arrivals.notify();
    }
  }

  /** Ends all waiting, now and later. */
  fail(error: unknown): void {
    this.#arrivals.fail(error);
  }

  /** A line that nobody has waited for, if there is one. */
  get unexpected(): string | undefined {
    return this.#lines[0];
  }

  /** The next line without its LF. */
  async next(): Promise<string> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      await this.#arrivals.wait();
    }
  }
}
