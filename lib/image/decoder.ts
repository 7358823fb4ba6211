// SPDX-License-Identifier: MIT
import { type DecodeOptions, Decoder, type Need, type Steps } from "./decode_steps.ts";
import type { ImageNode } from "./nodes.ts";
import { joinBytes } from "../bytes.ts";

export type { DecodeOptions } from "./decode_steps.ts";

/** Only blocks of at least this many bytes, which are pages, go into a buffer that is used again. */
const REUSE_FROM = 1 << 17;
const NO_BYTES = new Uint8Array(0);

/** How to decode a stream. */
export interface StreamOptions extends DecodeOptions {
  /**
   * Use one buffer for all page contents, which a {@linkcode PagesNode} then owns only until the next node
   * is asked for. Without it the garbage of page buffers may add up to some hundred MiB.
   */
  readonly reuseBuffers?: boolean;
}

/** Bytes as they come, given out by count. */
class ByteQueue {
  readonly #reuse: boolean;
  #scratch: Uint8Array = NO_BYTES;
  /** What came and was not given out. */
  #held: Uint8Array = NO_BYTES;
  /** What is asked for and was not there whole. */
  #wanted: Uint8Array | undefined;
  #filled = 0;

  constructor(reuse: boolean) {
    this.#reuse = reuse;
  }

  /** Takes what came. Nothing is held then: all that was there did not suffice. */
  push(bytes: Uint8Array): void {
    this.#held = bytes;
  }

  /** The bytes that are needed, fewer only at the end; undefined when more must come first. */
  take({ count, peek }: Need, isEnd: boolean): Uint8Array | undefined {
    const held = this.#held;
    if (this.#wanted === undefined) {
      const isEnough = held.length >= count || (count === Infinity && held.length > 0);
      if (isEnough || isEnd) {
        const part = held.subarray(0, count);
        if (!peek) this.#held = held.subarray(part.length);
        return part;
      }
      if (count === Infinity) return undefined;
      this.#wanted = this.#space(count);
      this.#filled = 0;
    }
    const part = held.subarray(0, count - this.#filled);
    this.#wanted.set(part, this.#filled);
    this.#filled += part.length;
    this.#held = held.subarray(part.length);
    if (this.#filled < count && !isEnd) return undefined;
    const whole = this.#wanted.subarray(0, this.#filled);
    this.#wanted = undefined;
    if (peek) this.#held = joinBytes([whole, this.#held]);
    return whole;
  }

  #space(count: number): Uint8Array {
    if (!this.#reuse || count < REUSE_FROM) return new Uint8Array(count);
    if (this.#scratch.length < count) this.#scratch = new Uint8Array(count);
    return this.#scratch;
  }
}

/** Runs the decoder over bytes that come in pieces. */
class PieceDecoder {
  readonly #steps: Steps<void>;
  readonly #queue: ByteQueue;
  #step: IteratorResult<Need | ImageNode, void>;
  #skip: number;

  constructor({ reuseBuffers = false, ...options }: StreamOptions) {
    this.#skip = options.start ?? 0;
    this.#queue = new ByteQueue(reuseBuffers);
    this.#steps = new Decoder(options).run();
    this.#step = this.#steps.next();
  }

  /** The nodes that another piece completes, which may be the last one, and empty. */
  *push(piece: Uint8Array, isEnd = false): Generator<ImageNode, void, void> {
    const bytes = piece.subarray(this.#skip);
    this.#skip -= piece.length - bytes.length;
    this.#queue.push(bytes);
    while (!this.#step.done) {
      const { value } = this.#step;
      if (value.kind === "need") {
        const bytes = this.#queue.take(value, isEnd);
        if (bytes === undefined) return;
        this.#step = this.#steps.next(bytes);
      } else {
        yield value;
        this.#step = this.#steps.next(NO_BYTES);
      }
    }
  }
}

/**
 * Decodes an image that is in memory. Payloads and pages are views of `bytes`, not copies.
 *
 * @param bytes the file, whole
 * @param options overrides of dialect and word size; where the image starts
 * @throws {MalformedImageError} from the iterator, after the nodes that could be read
 */
export function* decodeBytes(
  bytes: Uint8Array,
  options: DecodeOptions = {},
): Generator<ImageNode, void, void> {
  yield* new PieceDecoder(options).push(bytes, true);
}

/**
 * Decodes an image as it comes in. At most one page-array chunk is held, beside what the stream itself
 * hands over at once.
 *
 * @param source the image's bytes in pieces of any size, each piece left alone once handed over
 * @param options overrides of dialect and word size; `start` bytes are skipped first; how to keep buffers
 * @throws {MalformedImageError} from the iterator, after the nodes that could be read
 */
export async function* decodeStream(
  source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  options: StreamOptions = {},
): AsyncGenerator<ImageNode, void, void> {
  const decoder = new PieceDecoder(options);
  for await (const piece of source) yield* decoder.push(piece);
  yield* decoder.push(NO_BYTES, true);
}

/**
 * The decoder as a stream: bytes in, the parts of the image out. An image that cannot be decoded ends it with
 * a {@linkcode MalformedImageError}, after all the parts before.
 */
export class ImageDecoderStream implements TransformStream<Uint8Array, ImageNode> {
  /** Where the parts come out. */
  readonly readable: ReadableStream<ImageNode>;
  /** Where the bytes go in. */
  readonly writable: WritableStream<Uint8Array>;

  /** A decoder for one image. */
  constructor(options: DecodeOptions = {}) {
    const bytes = new TransformStream<Uint8Array, Uint8Array>();
    const nodes = decodeStream(bytes.readable, options);
    this.writable = bytes.writable;
    // Nothing is decoded before it is asked for: an error would drop what waits in the stream.
    this.readable = new ReadableStream({
      async pull(controller) {
        const { done, value } = await nodes.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await nodes.return();
      },
    }, { highWaterMark: 0 });
  }
}
