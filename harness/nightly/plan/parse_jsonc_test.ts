// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { parseJsonc } from "./parse_jsonc.ts";

Deno.test("parseJsonc() takes comments away, but not out of strings", () => {
  const text =
    `// a nightly run\n{ /* two\nlines */ "a": "http://x/*y*/", // "b": 1\n"c": ["\\"//", 1 /**/] }`;
  assertEquals(parseJsonc(text), { a: "http://x/*y*/", c: ['"//', 1] });
});

Deno.test("parseJsonc() reads every JSON as JSON.parse does", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const text = JSON.stringify(value, null, 2);
    assertEquals(parseJsonc(text), JSON.parse(text));
  }));
});

Deno.test("parseJsonc() names the line and the column of a mistake", () => {
  const refuse = (text: string, says: string): void => {
    assertThrows(() => parseJsonc(text), SyntaxError, says);
  };
  refuse('{\n  // x\n  "a": nope\n}', "line 3, column 8: expected a value, found nope");
  refuse('{ "a": 1,\n /* no end', "line 2, column 2: the comment has no end");
  refuse('{ "a": [1\n', "line 2, column 1: expected a comma or ], found the end");
  refuse('{ "a": 1, }', "line 1, column 11: expected a name in quotes, found }");
  refuse('{ "a": 1, "a": 2 }', "twice");
  refuse('{ "a": "open }', "line 1, column 8: expected a value");
  refuse("[1] 2", "line 1, column 5: expected the end, found 2");
  refuse("", "expected a value, found the end");
});
