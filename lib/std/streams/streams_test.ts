// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects } from "@std/assert";
import {
  Buffer,
  ByteSliceStream,
  concatReadableStreams,
  DelimiterStream,
  LimitedBytesTransformStream,
  TextLineStream,
  toArrayBuffer,
  toJson,
  toText,
  toTransformStream,
} from "@std/streams";

function bytes(...chunks: number[][]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(chunks.map((chunk) => new Uint8Array(chunk)));
}

Deno.test("toText() and toJson() read a whole stream", async () => {
  assertEquals(await toText(ReadableStream.from(["a", "b"])), "ab");
  assertEquals(await toJson(ReadableStream.from(['{"a":', "1}"])), { a: 1 });
  await assertRejects(() => toJson(ReadableStream.from(["{"])), SyntaxError);
});

Deno.test("toArrayBuffer() joins chunks", async () => {
  assertEquals(new Uint8Array(await toArrayBuffer(bytes([1], [2, 3]))), new Uint8Array([1, 2, 3]));
});

Deno.test("TextLineStream cuts at line ends, wherever chunks end", async () => {
  const lines = ReadableStream.from(["o", "ne\ntw", "o\r\n", "three"]).pipeThrough(new TextLineStream());
  assertEquals(await Array.fromAsync(lines), ["one", "two", "three"]);
});

Deno.test("DelimiterStream cuts bytes at a delimiter that may span chunks", async () => {
  const parts = bytes([1, 9], [9, 2]).pipeThrough(new DelimiterStream(new Uint8Array([9, 9])));
  assertEquals(await Array.fromAsync(parts), [new Uint8Array([1]), new Uint8Array([2])]);
});

Deno.test("LimitedBytesTransformStream refuses a byte too many when asked", async () => {
  const within = bytes([1, 2]).pipeThrough(new LimitedBytesTransformStream(2, { error: true }));
  assertEquals(await Array.fromAsync(within), [new Uint8Array([1, 2])]);
  const beyond = bytes([1, 2], [3]).pipeThrough(new LimitedBytesTransformStream(2, { error: true }));
  await assertRejects(() => Array.fromAsync(beyond), RangeError);
});

Deno.test("ByteSliceStream passes both of its ends", async () => {
  const slice = bytes([0, 1, 2, 3, 4]).pipeThrough(new ByteSliceStream(1, 3));
  assertEquals(await Array.fromAsync(slice), [new Uint8Array([1, 2, 3])]);
});

Deno.test("concatReadableStreams() and toTransformStream() keep the order of chunks", async () => {
  const doubled = concatReadableStreams(ReadableStream.from([1, 2]), ReadableStream.from([3])).pipeThrough(
    toTransformStream(async function* (source: ReadableStream<number>) {
      for await (const value of source) yield value * 2;
    }),
  );
  assertEquals(await Array.fromAsync(doubled), [2, 4, 6]);
});

Deno.test("Buffer gives back what was written", async () => {
  const buffer = new Buffer();
  await bytes([1, 2], [3]).pipeTo(buffer.writable);
  assertEquals(buffer.bytes(), new Uint8Array([1, 2, 3]));
});
