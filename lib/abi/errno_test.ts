// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { ERRNO_NAMES, errnoName, errnoNumber } from "./errno.ts";

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
  for (const [number, name] of Object.entries(ERRNO_NAMES)) assertEquals(errnoNumber(name), Number(number));
  assertThrows(() => errnoNumber("EWHAT"), RangeError, "EWHAT");
});

Deno.test("ERRNO_NAMES has each number of x86 once: 41 and 58 are other names of 11 and 35", () => {
  const numbers = Object.keys(ERRNO_NAMES).map(Number).filter((number) => number < 512);
  const expected = Array.from({ length: 133 }, (_, i) => i + 1).filter((number) =>
    number !== 41 && number !== 58
  );
  assertEquals(numbers, expected);
});
