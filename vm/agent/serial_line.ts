// SPDX-License-Identifier: MIT
import { BlockHash } from "../../lib/abi/block_hash.ts";
import { type ByteConnection, writeAll } from "./byte_channel.ts";

/**
 * The frames on the line. Each begins and ends with FLAG; in between, FLAG and ESCAPE are ESCAPE and the byte with
 * bit 5 turned. What is framed: kind (0 bytes of the control channel, 1 of the data channel, 2 acknowledgement),
 * number (of the frame, or of the frame that is awaited next; one byte, counted round), up to 2048 bytes, and their
 * digest, little-endian. What is no frame, or has another digest, is as good as lost; what is not acknowledged is
 * sent again. The other end is vm/guest/agent/serial.c.
 */
const FLAG = 0x7e;
const ESCAPE = 0x7d;
const FLIP = 0x20;
const KIND_ACK = 2;
const HEADER_BYTES = 2;
const DIGEST_BYTES = 8;
const FRAME_BYTES = HEADER_BYTES + 2048 + DIGEST_BYTES;
/** A guest that does not read keeps 4095 bytes for later: four frames, each byte escaped, fit twice. */
const PAYLOAD_BYTES = 240;
const WINDOW = 4;
const RESEND_MS = 1000;
const LONGEST_RESEND_MS = 16_000;

/** What came on one channel, in payloads of frames. */
class Inbox {
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  readonly #reader = new ReadableStream<Uint8Array>({
    start: (controller) => void (this.#controller = controller),
  })
    .getReader();

  put(bytes: Uint8Array): void {
    this.#controller.enqueue(bytes);
  }

  end(error?: unknown): void {
    if (error === undefined) this.#controller.close();
    else this.#controller.error(error);
  }

  /** @param into has room for the bytes of a frame */
  async read(into: Uint8Array): Promise<number | null> {
    const { value } = await this.#reader.read();
    if (value === undefined) return null;
    into.set(value);
    return value.length;
  }
}

/** How long a {@linkcode SerialLine} waits; for tests. */
interface SerialLineOptions {
  /** Time without an acknowledgement after which frames are sent again, in milliseconds; it doubles each time. */
  readonly resendMs?: number;
}

interface SerialCounts {
  /** Frames that arrived spoilt, or out of their turn. */
  rejected: number;
  /** Frames that were sent again. */
  resent: number;
}

/** The host's end of a serial line that carries the control and the data channel of an agent. */
export class SerialLine {
  readonly control: ByteConnection;
  readonly data: ByteConnection;
  readonly counts: SerialCounts = { rejected: 0, resent: 0 };
  readonly #conn: ByteConnection;
  readonly #inboxes = [new Inbox(), new Inbox()];
  readonly #unacknowledged: Uint8Array[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #resendMs: number;
  #oldest = 0;
  #awaited = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isRecovering = false;
  #ended = false;

  /** Begins to read the line at once. */
  constructor(conn: ByteConnection, { resendMs = RESEND_MS }: SerialLineOptions = {}) {
    this.#conn = conn;
    this.#resendMs = resendMs;
    this.control = this.#channel(0);
    this.data = this.#channel(1);
    this.#drain().then(() => this.#end(), (error) => this.#end(error));
  }

  #channel(kind: 0 | 1): ByteConnection {
    return {
      read: (into) => this.#inboxes[kind]!.read(into),
      write: (bytes) => this.#send(kind, bytes),
    };
  }

  #end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    for (const inbox of this.#inboxes) inbox.end(error);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #drain(): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    const frames = new FrameReader();
    for (let count; (count = await this.#conn.read(buffer)) !== null;) {
      let isAnswered = true;
      for (const frame of frames.take(buffer.subarray(0, count))) {
        if (this.#take(frame)) isAnswered = false;
      }
      this.counts.rejected += frames.spoilt;
      frames.spoilt = 0;
      if (!isAnswered) this.#write(frameOf(KIND_ACK, this.#awaited, new Uint8Array(0)));
    }
  }

  /** @returns whether the frame must be acknowledged. */
  #take(frame: Uint8Array): boolean {
    const [kind = 0, number = 0] = frame;
    if (kind === KIND_ACK) {
      this.#acknowledge((number - this.#oldest) & 0xff);
      return false;
    }
    if (kind > KIND_ACK) return false;
    if (number === this.#awaited) {
      this.#awaited = (this.#awaited + 1) & 0xff;
      this.#inboxes[kind]!.put(frame.slice(HEADER_BYTES));
    } else this.counts.rejected++;
    return true;
  }

  #acknowledge(count: number): void {
    if (count === 0 || count > this.#unacknowledged.length) return;
    this.#unacknowledged.splice(0, count);
    this.#oldest = (this.#oldest + count) & 0xff;
    clearTimeout(this.#timer);
    if (this.#unacknowledged.length > 0) this.#resendLater(this.#resendMs);
    // The guest is there again, and has thrown away what came behind the frame that it missed.
    if (this.#isRecovering) { for (const frame of this.#unacknowledged) this.#resend(frame); }
    this.#isRecovering = false;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** The first one alone: a guest that is busy must not be buried, and one that lives acknowledges it. */
  #resendLater(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isRecovering = true;
      this.#resend(this.#unacknowledged[0]!);
      this.#resendLater(Math.min(2 * ms, LONGEST_RESEND_MS));
    }, ms);
  }

  #resend(frame: Uint8Array): void {
    this.counts.resent++;
    this.#write(frame);
  }

  async #send(kind: 0 | 1, bytes: Uint8Array): Promise<number> {
    while (this.#unacknowledged.length >= WINDOW && !this.#ended) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#ended) throw new Deno.errors.BrokenPipe("the serial line has ended");
    const part = bytes.subarray(0, PAYLOAD_BYTES);
    const number = (this.#oldest + this.#unacknowledged.length) & 0xff;
    const frame = frameOf(kind, number, part);
    this.#unacknowledged.push(frame);
    if (this.#unacknowledged.length === 1) this.#resendLater(this.#resendMs);
    await this.#write(frame);
    return part.length;
  }

  /** One frame after the other. */
  #write(frame: Uint8Array): Promise<void> {
    return this.#turn = this.#turn.then(() => writeAll(this.#conn, frame)).catch((error) => this.#end(error));
  }
}

/** Makes a frame, ready for the line. */
export function frameOf(kind: number, number: number, payload: Uint8Array): Uint8Array {
  const body = new Uint8Array(HEADER_BYTES + payload.length + DIGEST_BYTES);
  body.set([kind, number]);
  body.set(payload, HEADER_BYTES);
  const digested = body.length - DIGEST_BYTES;
  new DataView(body.buffer).setBigUint64(digested, digestOf(body.subarray(0, digested)), true);
  const stuffed = new Uint8Array(2 * body.length + 2);
  let at = 0;
  stuffed[at++] = FLAG;
  for (const byte of body) {
    if (byte === FLAG || byte === ESCAPE) {
      stuffed[at++] = ESCAPE;
      stuffed[at++] = byte ^ FLIP;
    } else stuffed[at++] = byte;
  }
  stuffed[at++] = FLAG;
  return stuffed.subarray(0, at);
}

function digestOf(bytes: Uint8Array): bigint {
  return new BlockHash().update(bytes).digest();
}

/** Finds frames in the bytes of a line, whatever comes between them. */
export class FrameReader {
  readonly #body = new Uint8Array(FRAME_BYTES);
  #length = 0;
  #escaped = false;
  /** Until the first FLAG, and after too many bytes: skips to the next FLAG. */
  #broken = true;
  /** Frames that did not have their digest, or no end. */
  spoilt = 0;

  /** The whole frames in the next bytes, without flags and digest; each is valid until the next one. */
  *take(bytes: Uint8Array): Generator<Uint8Array> {
    for (const byte of bytes) {
      if (byte === FLAG) {
        const frame = this.#finish();
        if (frame) yield frame;
      } else if (byte === ESCAPE) {
        this.#escaped = true;
      } else if (this.#length === FRAME_BYTES) {
        this.#broken = true;
      } else {
        this.#body[this.#length++] = this.#escaped ? byte ^ FLIP : byte;
        this.#escaped = false;
      }
    }
  }

  #finish(): Uint8Array | undefined {
    const [length, isBroken] = [this.#length, this.#broken || this.#escaped];
    this.#length = 0;
    this.#broken = this.#escaped = false;
    if (length === 0) return undefined;
    const digested = length - DIGEST_BYTES;
    const body = this.#body.subarray(0, Math.max(digested, 0));
    const digest = () => new DataView(this.#body.buffer).getBigUint64(digested, true);
    if (!isBroken && digested >= HEADER_BYTES && digest() === digestOf(body)) return body;
    this.spoilt++;
    return undefined;
  }
}
