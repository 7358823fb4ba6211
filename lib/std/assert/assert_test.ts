// SPDX-License-Identifier: MIT
import {
  assert,
  assertEquals,
  AssertionError,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";

Deno.test("assertEquals() compares deeply, and tells bigint from number", () => {
  assertEquals({ a: [1n, new Uint8Array([1, 2])] }, { a: [1n, new Uint8Array([1, 2])] });
  assertThrows(() => assertEquals(new Uint8Array([1, 2]), new Uint8Array([1, 3])), AssertionError);
  assertThrows(() => assertEquals<unknown>(1n, 1), AssertionError);
});

Deno.test("assert() narrows the type of what it checked", () => {
  const values: (number | undefined)[] = [1];
  const value = values[0];
  assert(value !== undefined);
  const narrowed: number = value;
  assertEquals(narrowed, 1);
  assertThrows(() => assert(narrowed === 2, "no two"), AssertionError, "no two");
});

Deno.test("assertThrows() gives the error back under its class", () => {
  class OffsetError extends RangeError {
    offset = 8;
  }
  const thrown = assertThrows(
    () => {
      throw new OffsetError("at 8");
    },
    OffsetError,
    "at 8",
  );
  assertEquals(thrown.offset, 8);
  assertThrows(() => assertThrows(() => 1), AssertionError);
});

Deno.test("assertRejects() gives the error back and notices a promise that is kept", async () => {
  const thrown = await assertRejects(
    () => Promise.reject(new TypeError("not a number")),
    TypeError,
    "number",
  );
  assertEquals(thrown.message, "not a number");
  await assertRejects(() => assertRejects(() => Promise.resolve(1)), AssertionError);
});

Deno.test("the other assertions fail when they should", () => {
  assertThrows(() => assertNotEquals(1, 1), AssertionError);
  assertThrows(() => assertStringIncludes("abc", "d"), AssertionError);
});
