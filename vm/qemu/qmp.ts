// SPDX-License-Identifier: MIT

import * as v from "valibot";

/** What QEMU may say in one line: the registers of 64 processors. */
const MAX_LINE = 1 << 20;

const ANSWER = v.looseObject({
  /** Which command it is the answer to. */
  id: v.optional(v.number()),
  return: v.optional(v.unknown()),
  error: v.optional(v.looseObject({ desc: v.string() })),
  event: v.optional(v.string()),
});

/** The QEMU Machine Protocol. What is asked when QEMU is gone, or talks nonsense, rejects. */
export class Qmp {
  readonly #conn: Deno.Conn;
  readonly #asked: PromiseWithResolvers<unknown>[] = [];
  readonly #events = new Map<string, PromiseWithResolvers<void>>();
  #end: Error | undefined;

  /** Takes over a connection on which nothing was said yet. */
  constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.#read().catch((error) => error).then((error) => {
      this.#end = new Error(`QEMU's monitor: ${error?.message ?? "it is closed"}`);
      for (const { reject } of [...this.#asked, ...this.#events.values()]) reject(this.#end);
    });
    this.#ask("qmp_capabilities", {}).catch(() => {});
  }

  /** Has QEMU do something, and gives its answer. */
  async #ask(command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#end) throw this.#end;
    const asked = Promise.withResolvers<unknown>();
    // Whoever asked may have gone away.
    asked.promise.catch(() => {});
    const id = this.#asked.push(asked) - 1;
    const line = `${JSON.stringify({ execute: command, arguments: args, id })}\n`;
    await this.#conn.write(new TextEncoder().encode(line));
    return await asked.promise;
  }

  /** What the monitor for people answers. */
  async monitor(command: string): Promise<string> {
    return String(await this.#ask("human-monitor-command", { "command-line": command }));
  }

  /** Leaves memory that lies in a shared file out of what is migrated, on both sides. */
  async ignoreSharedMemory(): Promise<void> {
    const capabilities = [{ capability: "x-ignore-shared", state: true }];
    await this.#ask("migrate-set-capabilities", { capabilities });
  }

  /** Stops the guest and writes its state to a UNIX socket. */
  async migrate(path: string): Promise<void> {
    await this.#ask("migrate", { uri: `unix:${path}` });
  }

  /** Whether that went well. */
  async hasMigrated(): Promise<boolean> {
    const { status } = v.parse(v.looseObject({ status: v.string() }), await this.#ask("query-migrate", {}));
    return status === "completed";
  }

  /** Waits for the next event of a name. */
  event(name: string): Promise<void> {
    if (this.#end) return Promise.reject(this.#end);
    const waiter = this.#events.get(name) ?? Promise.withResolvers<void>();
    waiter.promise.catch(() => {});
    this.#events.set(name, waiter);
    return waiter.promise;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(64 << 10);
    let text = "";
    for (let got; (got = await this.#conn.read(buffer)) !== null;) {
      const lines = (text + decoder.decode(buffer.subarray(0, got), { stream: true })).split("\n");
      text = lines.pop()!;
      for (const line of lines) this.#take(line);
      if (text.length > MAX_LINE) throw new SyntaxError(`a line of more than ${MAX_LINE} characters`);
    }
  }

  #take(line: string): void {
    const { id, error, event, ...answer } = v.parse(ANSWER, JSON.parse(line));
    if (event !== undefined) {
      this.#events.get(event)?.resolve();
      this.#events.delete(event);
    }
    const asked = id === undefined ? undefined : this.#asked[id];
    if (error) asked?.reject(new Error(`QEMU's monitor: ${error.desc}`));
    else asked?.resolve(answer.return);
  }
}
