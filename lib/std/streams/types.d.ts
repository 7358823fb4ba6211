// SPDX-License-Identifier: MIT

// toBytes is left out: the JSR package keeps it among its unstable modules. Take toArrayBuffer.

type Bytes = Uint8Array<ArrayBuffer>;

/** A growing byte buffer with a reading and a writing end. */
export declare class Buffer {
  constructor(ab?: ArrayBufferLike | ArrayLike<number>);
  get readable(): ReadableStream<Bytes>;
  get writable(): WritableStream<Uint8Array>;
  get length(): number;
  get capacity(): number;
  bytes(options?: { copy?: boolean }): Bytes;
  empty(): boolean;
  truncate(n: number): void;
  reset(): void;
  grow(n: number): void;
}

/** Passes on the bytes from `start` to `end`, both included. */
export declare class ByteSliceStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(start?: number, end?: number);
}

/** Where {@linkcode DelimiterStream} leaves the delimiter. */
export type DelimiterDisposition = "suffix" | "prefix" | "discard";

/** Options of {@linkcode DelimiterStream}. */
export interface DelimiterStreamOptions {
  disposition?: DelimiterDisposition;
}

/** Cuts a byte stream at each delimiter. */
export declare class DelimiterStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(delimiter: Uint8Array, options?: DelimiterStreamOptions);
}

/** Cuts a stream of text at each delimiter. */
export declare class TextDelimiterStream extends TransformStream<string, string> {
  constructor(delimiter: string, options?: DelimiterStreamOptions);
}

/** Options of {@linkcode LimitedBytesTransformStream}. */
export interface LimitedBytesTransformStreamOptions {
  /** Whether more bytes than the limit are an error (RangeError) or are dropped. */
  error?: boolean;
}

/** Ends after `size` bytes. */
export declare class LimitedBytesTransformStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(size: number, options?: LimitedBytesTransformStreamOptions);
}

/** Options of {@linkcode LimitedTransformStream}. */
export interface LimitedTransformStreamOptions {
  error?: boolean;
}

/** Ends after `size` chunks. */
export declare class LimitedTransformStream<T> extends TransformStream<T, T> {
  constructor(size: number, options?: LimitedTransformStreamOptions);
}

/** Options of {@linkcode TextLineStream}. */
export interface TextLineStreamOptions {
  /** Whether a lone CR ends a line as well. */
  allowCR?: boolean;
}

/** Cuts a stream of text into lines without their line ends. */
export declare class TextLineStream extends TransformStream<string, string> {
  constructor(options?: TextLineStreamOptions);
}

export declare function concatReadableStreams<T>(...streams: ReadableStream<T>[]): ReadableStream<T>;
export declare function earlyZipReadableStreams<T>(...streams: ReadableStream<T>[]): ReadableStream<T>;
export declare function mergeReadableStreams<T>(...streams: ReadableStream<T>[]): ReadableStream<T>;
export declare function zipReadableStreams<T>(...streams: ReadableStream<T>[]): ReadableStream<T>;
export declare function toArrayBuffer(stream: ReadableStream<Uint8Array>): Promise<ArrayBuffer>;
export declare function toBlob(stream: ReadableStream<Uint8Array>): Promise<Blob>;
export declare function toJson(stream: ReadableStream): Promise<unknown>;
export declare function toText(stream: ReadableStream): Promise<string>;
export declare function toTransformStream<I, O>(
  transformer: (src: ReadableStream<I>) => Iterable<O> | AsyncIterable<O>,
  writableStrategy?: QueuingStrategy<I>,
  readableStrategy?: QueuingStrategy<O>,
): TransformStream<I, O>;
