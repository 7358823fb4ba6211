// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { TextLineStream } from "@std/streams";

Deno.test("TextLineStream cuts at line ends, wherever chunks end", async () => {
  const lines = ReadableStream.from(["o", "ne\ntw", "o\r\n", "three"]).pipeThrough(new TextLineStream());
  assertEquals(await Array.fromAsync(lines), ["one", "two", "three"]);
});
