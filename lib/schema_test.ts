// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import * as v from "valibot";
import {
  either,
  integer,
  jsonPath,
  list,
  object,
  oneOf,
  optional,
  parseJson,
  parseJsonText,
  SchemaError,
  text,
  variant,
  wordSet,
} from "./schema.ts";

const SHAPE = variant("kind", [
  object({ kind: v.literal("circle"), radius: integer(0, 9) }),
  object({
    kind: v.literal("line"),
    ends: list(either("a number or a word", integer(0, 9), text(/^[a-z]+$/, "a word"))),
  }),
]);
const DRAWING = object({
  "name": text(/^\w+$/, "a plain name"),
  "odd key": optional(wordSet(["a", "b"])),
  "shapes": list(SHAPE, 1),
  "size": optional(oneOf([1, 2])),
});

Deno.test("parseJson() gives back what is as it must be", () => {
  const drawing = { name: "x", shapes: [{ kind: "line", ends: [1, "b"] }], size: 2 };
  assertEquals<unknown>(parseJson(DRAWING, drawing, { file: "f" }), drawing);
});

Deno.test("parseJson() names file, JSON path, expected and found", () => {
  const circle = { kind: "circle", radius: 1 };
  const good = { name: "x", shapes: [circle] };
  const cases: [unknown, string][] = [
    [7, "f: $: expected an object, found 7"],
    [[], "f: $: expected an object, found []"],
    [{ shapes: [circle] }, "f: $.name: expected a plain name, found nothing"],
    [{ ...good, name: "../x" }, `f: $.name: expected a plain name, found "../x"`],
    [{ ...good, nam: 1 }, `f: $.nam: expected one of the keys name, odd key, shapes, size, found "nam"`],
    [{ ...good, "odd key": ["a", "c"] }, `f: $["odd key"][1]: expected one of a, b, found "c"`],
    [{ ...good, "odd key": ["a", "a"] }, `f: $["odd key"]: expected each word once, found ["a","a"]`],
    [{ ...good, size: 3 }, "f: $.size: expected one of 1, 2, found 3"],
    [{ ...good, shapes: [] }, "f: $.shapes: expected a list of at least 1, found []"],
    [{ ...good, shapes: {} }, "f: $.shapes: expected a list of at least 1, found {}"],
    [{ ...good, shapes: [null] }, "f: $.shapes[0]: expected an object, found null"],
    [
      { ...good, shapes: [{ kind: "dot" }] },
      `f: $.shapes[0].kind: expected one of circle, line, found "dot"`,
    ],
    [{ ...good, shapes: [{}] }, "f: $.shapes[0].kind: expected one of circle, line, found nothing"],
    [
      { ...good, shapes: [{ ...circle, radius: 1.5 }] },
      "f: $.shapes[0].radius: expected a whole number from 0 to 9, found 1.5",
    ],
    [{ ...good, shapes: [{ ...circle, radius: -1 }] }, "expected a whole number from 0 to 9, found -1"],
    [
      { ...good, shapes: [{ ...circle, radius: 1e300 }] },
      "expected a whole number from 0 to 9, found 1e+300",
    ],
    [{ ...good, shapes: [{ ...circle, radius: "1" }] }, `expected a whole number from 0 to 9, found "1"`],
    [
      { ...good, shapes: [{ kind: "line", ends: [true] }] },
      "$.shapes[0].ends[0]: expected a number or a word",
    ],
    [{ ...good, shapes: [{ kind: "line", ends: ["A"] }] }, `$.shapes[0].ends[0]: expected a word, found "A"`],
  ];
  for (const [value, message] of cases) {
    assertThrows(() => parseJson(DRAWING, value, { file: "f" }), SchemaError, message);
  }
});

Deno.test("either() says what is wrong about an object, where one of its schemas alone takes objects", () => {
  const schema = either("a word or an object", oneOf(["a", "b"]), object({ size: integer(0, 9) }));
  assertEquals<unknown>(parseJson(schema, "a", { file: "f" }), "a");
  assertThrows(
    () => parseJson(schema, "c", { file: "f" }),
    SchemaError,
    `expected a word or an object, found "c"`,
  );
  assertThrows(() => parseJson(schema, 3, { file: "f" }), SchemaError, "f: $: expected a word or an object");
  assertThrows(
    () => parseJson(schema, { size: 10 }, { file: "f" }),
    SchemaError,
    "f: $.size: expected a whole",
  );
});

Deno.test("parseJson() tells of every mistake, a line each, in an error of the class asked for", () => {
  const value = { name: "", shapes: [{ kind: "circle", radius: 10 }] };
  const error = assertThrows(() => parseJson(DRAWING, value, { file: "f", error: RangeError }), RangeError);
  assertEquals(error.message.split("\n").map((line) => line.split(":")[1]), [
    " $.name",
    " $.shapes[0].radius",
  ]);
});

Deno.test("parseJsonText() names the file that is no JSON", () => {
  assertThrows(
    () => parseJsonText(DRAWING, "{", { file: "a/b.json" }),
    SchemaError,
    "a/b.json: $: expected JSON",
  );
  assertEquals<unknown>(parseJsonText(integer(0, 9), "7", { file: "f" }), 7);
});

Deno.test("a long value is cut in an error", () => {
  const error = assertThrows(() => parseJson(integer(0, 1), "x".repeat(1000), { file: "f" }), SchemaError);
  assertEquals(error.message.length < 300, true);
});

Deno.test("jsonPath() quotes keys that are no names", () => {
  assertEquals(jsonPath(["steps", 2, "a-b", "c"]), `$.steps[2]["a-b"].c`);
});
