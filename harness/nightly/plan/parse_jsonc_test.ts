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
  refuse('{\n  // x\n  "a": nope\n}', "line 3, column 8: invalid symbol, found nope");
  refuse('{ "a": 1,\n /* no end', "line 2, column 2: unexpected end of comment");
  refuse('{ "a": [1\n', "line 2, column 1: close bracket expected, found the end");
  refuse('{ "a": 1, }', "line 1, column 11: property name expected, found }");
  refuse('{ "a": 1,\n"a": 2 }', 'line 2, column 1: the name "a" is there twice');
  refuse('{ "a": "open }', "line 1, column 8: unexpected end of string");
  refuse("[1] 2", "line 1, column 5: end of file expected, found 2");
  refuse("", "value expected, found the end");
});
