// SPDX-License-Identifier: MIT
import { withDeadline } from "../host/deadline.ts";

/** An event that QEMU sent of its own accord, such as SHUTDOWN. */
interface QmpEvent {
  event: string;
  data?: Record<string, unknown>;
  timestamp: { seconds: number; microseconds: number };
}

/** QEMU refused a command, or the connection ended. */
export class QmpError extends Error {
  override readonly name = "QmpError";
  /** QEMU's error class, or "disconnected". */
  readonly kind: string;

  constructor(kind: string, message: string) {
    super(message);
    this.kind = kind;
  }
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const DEFAULT_DEADLINE_MS = 10_000;
/** A line longer than this is no QMP. */
const MAX_LINE = 16 * 1024 * 1024;

/** A client of the QEMU Machine Protocol: one connection, commands by id, events kept. */
export class QmpClient {
  readonly #conn: Deno.Conn;
  readonly #waiting = new Map<number, Waiting>();
  readonly #greeting = Promise.withResolvers<void>();
  readonly #reading: Promise<void>;
  #nextId = 1;
  #ended: Error | undefined;
  /** Events so far, in order. */
  readonly events: QmpEvent[] = [];

  /** Begins to read; use {@linkcode QmpClient.connect}, which also greets. */
  constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.#greeting.promise.catch(() => {});
    this.#reading = this.#read();
  }

  /**
   * Takes a fresh connection through greeting and capability negotiation.
   *
   * @throws {DeadlineError} when QEMU does not answer in time.
   * @throws {QmpError} when it refuses or hangs up.
   */
  static async connect(conn: Deno.Conn, deadlineMs: number = DEFAULT_DEADLINE_MS): Promise<QmpClient> {
    const client = new QmpClient(conn);
    await withDeadline(client.#greeting.promise, deadlineMs, "the greeting of QEMU's control socket");
    await client.execute("qmp_capabilities", {}, deadlineMs);
    return client;
  }

  /**
   * Carries a command out.
   *
   * @returns the command's `return` value.
   * @throws {QmpError} when QEMU refuses it or hangs up.
   * @throws {DeadlineError} when no answer comes in time.
   */
  execute(
    command: string,
    parameters: Record<string, unknown> = {},
    deadlineMs: number = DEFAULT_DEADLINE_MS,
  ): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    const line = JSON.stringify({ execute: command, arguments: parameters, id });
    this.#write(`${line}\n`).catch((error) => reject(disconnected(error)));
    return withDeadline(promise, deadlineMs, `QEMU's answer to ${command}`).finally(() => {
      this.#waiting.delete(id);
    });
  }

  /** Ends the connection; commands under way fail. */
  async close(): Promise<void> {
    this.#end(new QmpError("disconnected", "the QMP connection was closed"));
    try {
      this.#conn.close();
    } catch {
      // Closed already, by the reader that saw its end.
    }
    await this.#reading;
  }

  async #write(line: string): Promise<void> {
    const bytes = new TextEncoder().encode(line);
    for (let done = 0; done < bytes.length;) done += await this.#conn.write(bytes.subarray(done));
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(64 * 1024);
    let pending = "";
    try {
      for (let got; (got = await this.#conn.read(buffer)) !== null;) {
        pending += decoder.decode(buffer.subarray(0, got), { stream: true });
        const lines = pending.split("\n");
        pending = lines.pop() ?? "";
        if (pending.length > MAX_LINE) throw new QmpError("protocol", "a QMP line is too long");
        for (const line of lines) if (line.trim() !== "") this.#take(JSON.parse(line));
      }
      this.#end(new QmpError("disconnected", "QEMU closed its control socket"));
    } catch (error) {
      this.#end(error instanceof QmpError ? error : disconnected(error));
    }
  }

  #take(message: Record<string, unknown>): void {
    if ("QMP" in message) return this.#greeting.resolve();
    if ("event" in message) return void this.events.push(message as unknown as QmpEvent);
    const waiting = this.#waiting.get(message["id"] as number);
    if (waiting === undefined) return;
    const error = message["error"] as { class: string; desc: string } | undefined;
    if (error === undefined) waiting.resolve(message["return"]);
    else waiting.reject(new QmpError(error.class, error.desc));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#greeting.reject(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function disconnected(error: unknown): QmpError {
  return new QmpError("disconnected", error instanceof Error ? error.message : String(error));
}
