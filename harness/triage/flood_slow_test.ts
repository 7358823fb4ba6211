// SPDX-License-Identifier: MIT
/** Consoles of guests that flood them: what is read must take time in proportion to its length, and little memory. */

import { assert, assertEquals } from "@std/assert";
import { withoutMiddle } from "./console_lines.ts";
import { parseSplats } from "./parse_splats.ts";

const BYTES = 4.5 * 1024 * 1024;
const WARNING = "WARNING: CPU: 0 PID: 7 at x.c:1 f+0x1/0x2\n";
/** What stands first, and what is then said again and again. */
const FLOODS: Readonly<Record<string, readonly [first: string, again: string | ((n: number) => string)]>> = {
  "a report that never ends": [WARNING, "   x\n"],
  "a report whose lines lost their times": [`[    1.000000] ${WARNING}`, " foo\n"],
  "a report of lockdep without an end": [
    "WARNING: possible circular locking dependency detected\n",
    " (a){\n",
  ],
  "a report of KASAN without an end": ["BUG: KASAN: use-after-free in f+0x1/0x2\n", " f+0x1/0x2\n"],
  "stacks": ["", "Call Trace:\n f+0x1/0x2\n"],
  "warnings": ["", WARNING],
  "beginnings": ["", "------------[ cut here ]------------\n"],
  "empty lines": ["", "\n"],
  "one long line": ["", "BUG: KASAN: "],
  "a printer for each line": ["", (n) => `[    1.000000][ T${n}] something said here\n`],
  "panics": [WARNING, "Kernel panic - not syncing: Fatal exception\n"],
};

for (const [name, [first, again]] of Object.entries(FLOODS)) {
  Deno.test(`parseSplats() is soon done with 4.5 MiB of ${name}`, () => {
    const text = typeof again === "string"
      ? first + again.repeat(BYTES / again.length)
      : Array.from({ length: BYTES / 42 }, (_, n) => again(n)).join("");
    const begin = performance.now();
    const splats = parseSplats(text);
    const seconds = (performance.now() - begin) / 1000;
    // On an idle machine each takes up to 2 s; where the time grows with the square it takes minutes.
    assert(seconds < 30, `${seconds} s`);
    assert(splats.length <= 200 && splats.every(({ lines }) => lines.length <= 2000));
    assertEquals(splats.length > 0, /WARNING|BUG|cut here|Call Trace/.test(text));
  });
}

Deno.test("withoutMiddle() keeps both ends of a text with too many lines, and others whole", () => {
  const lines = Array.from({ length: 150_000 }, (_, n) => `${n}\n`);
  const text = lines.join("");
  const kept = withoutMiddle(text).split("\n");
  assertEquals([kept[0], kept[49_999], kept[50_000], kept.at(-2)], ["0", "49999", "100001", "149999"]);
  const short = lines.slice(0, 90_000).join("");
  assertEquals(withoutMiddle(short), short);
  for (const odd of ["", "x", "\n", "x\n", "x\ny"]) assertEquals(withoutMiddle(odd), odd);
});
