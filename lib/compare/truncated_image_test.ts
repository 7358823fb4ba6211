// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { syntheticImage } from "../image/testing/synthetic_image.ts";
import { sameImageFindings, truncatedImageFindings } from "./truncated_image.ts";

/** head.time, behind a record header of 8 bytes. */
const TIME = 24;

Deno.test("truncatedImageFindings() takes any beginning of an image, whatever its time", () => {
  const whole = syntheticImage();
  for (const length of [0, 1, 8, 232, whole.length >> 1, whole.length - 1]) {
    const truncated = whole.slice(0, length);
    if (length > TIME) truncated[TIME] = (truncated[TIME] ?? 0) ^ 1;
    assertEquals(truncatedImageFindings(truncated, whole), [], `${length} bytes`);
  }
});

Deno.test("truncatedImageFindings() names the first byte that differs, and an image that is whole", () => {
  const whole = syntheticImage();
  const other = whole.slice(0, 400);
  other[300] = (other[300] ?? 0) ^ 1;
  assertEquals(truncatedImageFindings(other, whole).map(({ id, offset }) => [id, offset]), [[
    "E_OTHER_IMAGE",
    300,
  ]]);
  assertEquals(truncatedImageFindings(whole, whole).map(({ id }) => id), ["E_NOT_TRUNCATED"]);
  const twice = new Uint8Array([...whole.slice(0, 100), ...whole]);
  assertEquals(truncatedImageFindings(twice, whole)[0]?.offset, 100);
});

Deno.test("sameImageFindings() wants the same length", () => {
  const whole = syntheticImage();
  assertEquals(sameImageFindings(whole, whole), []);
  const [finding] = sameImageFindings(whole.slice(0, -1), whole);
  assertEquals([finding?.offset, finding?.actual], [whole.length - 1, `the end, at ${whole.length - 1}`]);
});
