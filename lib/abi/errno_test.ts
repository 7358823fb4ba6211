// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { ERRNO, errnoName, errnoNumber } from "./errno.ts";

Deno.test("errnoName() takes either sign, and says so when there is no name", () => {
  assertEquals([errnoName(22), errnoName(-38), errnoName(133), errnoName(-516), errnoName(999)], [
    "EINVAL",
    "ENOSYS",
    "EHWPOISON",
    "ERESTART_RESTARTBLOCK",
    "errno 999",
  ]);
});

Deno.test("errnoNumber() undoes errnoName()", () => {
  for (const [name, number] of Object.entries(ERRNO)) {
    assertEquals(errnoNumber(errnoName(number)), errnoNumber(name));
  }
  assertThrows(() => errnoNumber("EWHAT"), RangeError, "EWHAT");
});

Deno.test("ERRNO has each number of x86 once: 41 and 58 are other names of 11 and 35", () => {
  const numbers: number[] = Object.values(ERRNO).filter((number) => number < 512);
  const expected = Array.from({ length: 133 }, (_, i) => i + 1).filter((number) =>
    number !== 41 && number !== 58
  );
  assertEquals(numbers, expected);
});
