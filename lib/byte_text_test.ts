// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { byteText, shownByteText } from "./byte_text.ts";

const ALL = Uint8Array.from({ length: 20_000 }, (_, i) => i & 0xff);

Deno.test("byteText() keeps each byte, those from 0x80 to 0x9f as well", () => {
  assertEquals(Uint8Array.from(byteText(ALL), (c) => c.charCodeAt(0)), ALL);
});

Deno.test("shownByteText() shows what is no ASCII as bytes", () => {
  assertEquals(
    shownByteText(byteText(new TextEncoder().encode("State:\t/Über\x1b[2J"))),
    "State:\t/\\xc3\\x9cber\\x1b[2J",
  );
});
