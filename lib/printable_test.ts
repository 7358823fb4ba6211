// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { byteText, printable, printableLine, shownByteText } from "./printable.ts";

/** Characters that steer a terminal, end a line or show as nothing. */
const HOSTILE =
  "\x1b[2J\x1b]0;title\x07\x9b31m\x7f\0\r\b\u2028\u2029\u202e\u2066\u200b\u061c\ufeff\u00ad\u{e0041}\ud800";

Deno.test("printable() leaves nothing that steers a terminal, and text as it is", () => {
  assertEquals(/[^\x20-\x7e]/.exec(printable(HOSTILE)), null);
  const plain = "naïve 日本 — €\tand\nmore 🙂";
  assertEquals(printable(plain), plain);
  assertEquals(printable("\x1b[31mred\u202e"), "\\u001b[31mred\\u202e");
  assertEquals(printable("\u{e0041}"), "\\udb40\\udc41");
});

Deno.test("printable() leaves JSON that says the same", () => {
  assertEquals(JSON.parse(printable(JSON.stringify({ [HOSTILE]: [HOSTILE] }, null, 2))), {
    [HOSTILE]: [HOSTILE],
  });
});

Deno.test("printableLine() is one line", () => {
  assertEquals(printableLine("a\nok    x86_64\r\n\tb"), "a\\nok    x86_64\\u000d\\n\\u0009b");
});

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
