// SPDX-License-Identifier: MIT
import { EXIT_STATUS, type ExitStatus, ExpectedError } from "../host/errors.ts";
import { BlockHash, blockHashHex } from "../../lib/compare/block_hash.ts";
import type { GuestLostError, GuestLostReason } from "../qemu/guest_lost_error.ts";
import {
  type FieldValue,
  MAX_LINE_BYTES,
  numberField,
  parseLine,
  type ProtocolLine,
  textField,
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
    super(`${shorten(command)}: the agent answered errno ${errno} (${what})`);
    this.errno = errno;
    this.what = what;
  }

  override get status(): ExitStatus {
    return EXIT_STATUS.testFailed;
  }
}

/** The words of a command; an undefined one is left out. */
export type Fields = readonly (readonly [string, FieldValue])[];

/** One command on its way: the line, the bytes that follow it on the data port, and where large data goes. */
export interface Request {
  word: string;
  fields: Fields;
  payload?: Uint8Array | undefined;
  stream?: StreamTaker;
  deadlineMs?: number | undefined;
}

/** The final line, and the blobs before it by name. */
export interface Answer {
  line: ProtocolLine;
  blobs: Map<string, Uint8Array<ArrayBuffer>>;
}

/** A command for a message. */
export function shorten(command: string): string {
  return command.length <= 120 ? command : `${command.slice(0, 117)}...`;
}

/** Takes the bytes that belong to one answer as they come. */
export interface StreamTaker {
  take: ByteSink;
  readonly length: number;
  /** Why the bytes are lost, though they came. */
  readonly error: SinkError | undefined;
  hex(): string;
}

/** Both ports of a guest, and one exchange on them. */
export class Wires {
  readonly lines: LineQueue;
  readonly #data: ByteQueue;
  readonly #link: GuestLink;

  constructor(link: GuestLink) {
    this.#link = link;
    // Each port speaks for itself: what the other one still holds may tell more.
    const ended = (port: string, error: unknown) => {
      const detail = error instanceof Error ? `: ${error.message}` : "";
      return new Error(`the ${port} port ended${detail}`);
    };
    this.lines = new LineQueue(
      link.control,
      MAX_LINE_BYTES,
      (error) => this.lines.fail(ended("control", error)),
    );
    this.#data = new ByteQueue(link.data, (error) => this.#data.fail(ended("data", error)));
  }

  /** Ends all waiting. */
  fail(error: unknown): void {
    this.lines.fail(error);
    this.#data.fail(error);
  }

  /** Sends one line. */
  async say(line: string): Promise<void> {
    await writeAll(this.#link.control, new TextEncoder().encode(`${line}\n`));
  }

  /** Sends a command and takes its answer, with every digest checked. */
  async exchange({ payload, stream }: Request, command: string): Promise<Answer> {
    if (this.lines.unexpected !== undefined || this.#data.length > 0) {
      const found = this.lines.unexpected ?? `${this.#data.length} bytes of data`;
      throw new SyntaxError(`expected silence before the command, found ${JSON.stringify(found)}`);
    }
    await this.#data.setSink(stream?.take);
    try {
      await this.say(command);
      const sent = payload === undefined ? undefined : writeAll(this.#link.data, payload);
      const [answer] = await Promise.all([this.#answer(command, stream), sent]);
      return answer;
    } finally {
      await this.#data.setSink(undefined);
    }
  }

  async #answer(command: string, stream: StreamTaker | undefined): Promise<Answer> {
    const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
    for (;;) {
      const line = parseLine(await this.lines.next());
      if (line.word === "blob" && stream === undefined) {
        blobs.set(textField(line, "name"), await this.#blob(line));
      } else if (line.word === "ok") {
        if (stream !== undefined) await this.#finish(line, stream);
        return { line, blobs };
      } else if (line.word === "err") {
        throw new AgentError(command, numberField(line, "errno"), textField(line, "what"));
      } else {
        throw new SyntaxError(`expected ok, err or blob, found "${line.word}"`);
      }
    }
  }

  async #blob(line: ProtocolLine): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#data.take(numberField(line, "length"));
    expectDigest(`blob "${textField(line, "name")}"`, textField(line, "hash"), blockHashHex(bytes));
    return bytes;
  }

  /** Waits for the last bytes of a stream whose length the answer has told. */
  async #finish(line: ProtocolLine, stream: StreamTaker): Promise<void> {
    const length = numberField(line, "length");
    while (stream.length < length) await this.#data.arrival();
    if (stream.length > length) {
      throw new SyntaxError(`expected a stream of ${length} bytes, found ${stream.length}`);
    }
    expectDigest(`stream of ${length} bytes`, textField(line, "hash"), stream.hex());
    if (stream.error !== undefined) throw stream.error;
  }
}

function expectDigest(what: string, expected: string, actual: string): void {
  if (expected !== actual) throw new SyntaxError(`${what}: expected the digest ${expected}, found ${actual}`);
}

const FIRST_IMAGE_BYTES = 1 << 20;

/** What was to take an image could not. The guest is well, and its answer was read to the end. */
export class SinkError extends Error {
  override readonly name = "SinkError";
}

/** Collects an image in one growing block, or hands it on. */
export class ImageTaker implements StreamTaker {
  readonly #hash = new BlockHash();
  readonly #sink: ByteSink | undefined;
  #bytes = new Uint8Array(0);
  error: SinkError | undefined;

  constructor(sink: ByteSink | undefined) {
    this.#sink = sink;
  }

  readonly take: ByteSink = (bytes) => {
    const at = this.#hash.length;
    this.#hash.update(bytes);
    if (this.#sink !== undefined) return this.#handOn(bytes, this.#sink);
    if (this.#bytes.length < this.#hash.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#hash.length, FIRST_IMAGE_BYTES));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, at);
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

  /** What was collected; undefined when a sink took it. */
  get bytes(): Uint8Array<ArrayBuffer> | undefined {
    return this.#sink === undefined ? this.#bytes.subarray(0, this.length) : undefined;
  }

  hex(): string {
    return this.#hash.hex();
  }
}
