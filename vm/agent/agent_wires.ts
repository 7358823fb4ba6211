// SPDX-License-Identifier: MIT
import { EXIT_STATUS, type ExitStatus, ExpectedError } from "../host/errors.ts";
import { joinBytes } from "../../lib/bytes.ts";
import { printableLine } from "../../lib/printable.ts";
import { errnoName } from "../../lib/abi/errno.ts";
import { BlockHash, blockHashHex } from "../../lib/abi/block_hash.ts";
import { GuestLostError, type GuestLostReason } from "../qemu/guest_lost_error.ts";
import {
  type Fields,
  formatCommand,
  MAX_LINE_BYTES,
  parseLine,
  type ProtocolLine,
  readFields,
} from "./agent_protocol.ts";
import { type ByteConnection, ByteQueue, type ByteSink, LineQueue, writeAll } from "./byte_channel.ts";

/** What a session needs of a guest; `VirtualMachine` has it. */
export interface GuestLink {
  readonly control: ByteConnection;
  readonly data: ByteConnection;
  /** Waits for work with a deadline and an eye on the guest; throws GuestLostError when the guest is lost. */
  waitFor<T>(wait: { awaited: string; deadlineMs: number }, work: Promise<T>): Promise<T>;
  /** Makes the error for a guest that is lost for another reason. */
  lost(reason: GuestLostReason, awaited: string, detail?: string): GuestLostError;
}

/** The agent answered a command with `err`. The guest itself is well. */
export class AgentError extends ExpectedError {
  override readonly name = "AgentError";
  /** The error's number in the guest's kernel. */
  readonly errno: number;
  /** What failed, in the agent's words: a call, a path. */
  readonly what: string;

  constructor(command: string, errno: number, what: string) {
    super(
      `${shorten(command)}: the agent answered errno ${errno} ${errnoName(errno)} (${printableLine(what)})`,
    );
    this.errno = errno;
    this.what = what;
  }

  override get status(): ExitStatus {
    return EXIT_STATUS.testFailed;
  }
}

/** One command on its way: the line, the bytes that follow it on the data port, and where large data goes. */
export interface Request {
  word: string;
  fields: Fields;
  payload?: Uint8Array | undefined;
  stream?: ImageTaker;
  deadlineMs: number;
}

/** The final line, and the blobs before it by name. */
export interface Answer {
  line: ProtocolLine;
  blobs: Map<string, Uint8Array<ArrayBuffer>>;
}

function shorten(command: string): string {
  return command.length <= 120 ? command : `${command.slice(0, 117)}...`;
}

const STREAM = { length: "number", hash: "text" } as const;

/** Time between the end of one port and that of the other, where a guest goes away. */
const PORT_DRAIN_MS = 200;

/** Both ports of a guest, and one exchange on them at a time. */
export class Wires {
  readonly lines: LineQueue;
  /** The most that an answer may hold: its blobs together, or its stream. */
  readonly maxBytes: number;
  readonly #data: ByteQueue;
  readonly #link: GuestLink;
  #turn: Promise<unknown> = Promise.resolve();
  #lost: GuestLostError | undefined;

  constructor(link: GuestLink, maxBytes: number) {
    this.#link = link;
    this.maxBytes = maxBytes;
    // Each port speaks for itself: what the other one still holds may tell more. But nobody waits there for long.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ended = (port: "control" | "data") => (error: unknown): void => {
      const detail = error instanceof Error ? `: ${error.message}` : "";
      const reason = new Error(`the ${port} port ended${detail}`);
      const [own, other] = port === "control" ? [this.lines, this.#data] : [this.#data, this.lines];
      own.fail(reason);
      if (timer === undefined) timer = setTimeout(() => other.fail(reason), PORT_DRAIN_MS);
      else clearTimeout(timer);
    };
    this.lines = new LineQueue(link.control, MAX_LINE_BYTES, ended("control"));
    this.#data = new ByteQueue(link.data, maxBytes, ended("data"));
  }

  /**
   * Sends a command in its turn, and reads its answer.
   *
   * @throws {GuestLostError} when the answer does not come in time or makes no sense, and ever after
   */
  async request<T>(request: Request, read: (answer: Answer) => T): Promise<T> {
    // A command that cannot be written is the caller's mistake, and known before anything is sent.
    const command = formatCommand(request.word, request.fields);
    const wait = { awaited: `the answer to "${shorten(command)}"`, deadlineMs: request.deadlineMs };
    const result = this.#turn.then(() =>
      this.within(wait, async () => read(await this.#exchange(request, command)))
    );
    this.#turn = result.catch(() => {});
    return await result;
  }

  /** Does work with the guest. What it ends with, other than the agent's own `err`, means that the guest is lost. */
  async within<T>(wait: { awaited: string; deadlineMs: number }, work: () => Promise<T>): Promise<T> {
    if (this.#lost !== undefined) throw this.#lost;
    try {
      return await this.#link.waitFor(wait, work());
    } catch (error) {
      if (error instanceof AgentError) throw error;
      if (error instanceof SinkError) throw error.cause;
      const detail = error instanceof Error ? error.message : String(error);
      this.#lost = error instanceof GuestLostError
        ? error
        : this.#link.lost("protocol", wait.awaited, detail);
      this.lines.fail(this.#lost);
      this.#data.fail(this.#lost);
      throw this.#lost;
    }
  }

  /** Sends a command and takes its answer, with every digest checked. */
  async #exchange({ payload, stream }: Request, command: string): Promise<Answer> {
    if (this.lines.unexpected !== undefined || this.#data.length > 0) {
      const found = this.lines.unexpected ?? `${this.#data.length} bytes of data`;
      throw new SyntaxError(`expected silence before the command, found ${JSON.stringify(found)}`);
    }
    await this.#data.setSink(stream?.take);
    try {
      await writeAll(this.#link.control, new TextEncoder().encode(`${command}\n`));
      const sent = payload === undefined ? undefined : writeAll(this.#link.data, payload);
      const [answer] = await Promise.all([this.#answer(command, stream), sent]);
      return answer;
    } finally {
      await this.#data.setSink(undefined);
    }
  }

  async #answer(command: string, stream: ImageTaker | undefined): Promise<Answer> {
    const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
    let left = this.maxBytes;
    for (;;) {
      const line = parseLine(await this.lines.next());
      if (line.word === "blob" && stream === undefined) {
        const { name, length, hash } = readFields(line, { name: "text", ...STREAM });
        left -= length;
        if (length < 0 || left < 0) {
          throw new SyntaxError(
            `blob "${name}" of ${length} bytes: expected at most ${this.maxBytes} in an answer`,
          );
        }
        const bytes = await this.#data.take(length);
        expectDigest(`blob "${name}"`, hash, blockHashHex(bytes));
        blobs.set(name, bytes);
      } else if (line.word === "ok") {
        if (stream !== undefined) await this.#finish(line, stream);
        return { line, blobs };
      } else if (line.word === "err") {
        const { errno, what } = readFields(line, { errno: "number", what: "text" });
        throw new AgentError(command, errno, what);
      } else {
        throw new SyntaxError(`expected ok, err or blob, found "${line.word}"`);
      }
    }
  }

  /** Waits for the last bytes of a stream whose length the answer has told. */
  async #finish(line: ProtocolLine, stream: ImageTaker): Promise<void> {
    const { length, hash } = readFields(line, STREAM);
    while (stream.length < length) await this.#data.arrival();
    if (stream.length > length) {
      throw new SyntaxError(`expected a stream of ${length} bytes, found ${stream.length}`);
    }
    expectDigest(`stream of ${length} bytes`, hash, stream.hex());
    if (stream.error !== undefined) throw stream.error;
  }
}

function expectDigest(what: string, expected: string, actual: string): void {
  if (expected !== actual) throw new SyntaxError(`${what}: expected the digest ${expected}, found ${actual}`);
}

/** What was to take an image could not. The guest is well, and its answer was read to the end. */
class SinkError extends Error {
  override readonly name = "SinkError";
}

/** Collects an image of at most so many bytes, or hands it on. */
export class ImageTaker {
  readonly #hash = new BlockHash();
  readonly #sink: ByteSink | undefined;
  readonly #maxBytes: number;
  readonly #parts: Uint8Array[] = [];
  /** Why the bytes are lost, though they came. */
  error: SinkError | undefined;

  constructor(sink: ByteSink | undefined, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  readonly take: ByteSink = (bytes) => {
    this.#hash.update(bytes);
    if (this.#sink !== undefined) return this.#handOn(bytes, this.#sink);
    if (this.#hash.length > this.#maxBytes) {
      throw new SyntaxError(`an image of more than ${this.#maxBytes} bytes`);
    }
    this.#parts.push(bytes.slice());
  };

  async #handOn(bytes: Uint8Array<ArrayBuffer>, sink: ByteSink): Promise<void> {
    if (this.error !== undefined) return;
    try {
      await sink(bytes);
    } catch (error) {
      this.error = new SinkError("the image could not be handed on", { cause: error });
    }
  }

  get length(): number {
    return this.#hash.length;
  }

  /** What was collected, once; undefined when a sink took it. */
  takeBytes(): Uint8Array<ArrayBuffer> | undefined {
    return this.#sink === undefined ? joinBytes(this.#parts.splice(0)) : undefined;
  }

  hex(): string {
    return this.#hash.hex();
  }
}

/** A bulk answer by its name. @throws {SyntaxError} when there is none, or of another length */
export function blobOf({ blobs }: Answer, name: string, length?: number): Uint8Array<ArrayBuffer> {
  const bytes = blobs.get(name);
  if (bytes === undefined) throw new SyntaxError(`expected a blob "${name}", found none`);
  if (length === undefined || bytes.length === length) return bytes;
  throw new SyntaxError(`blob "${name}": expected ${length} bytes, found ${bytes.length}`);
}
