// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { printable, printableLine } from "./printable.ts";

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
