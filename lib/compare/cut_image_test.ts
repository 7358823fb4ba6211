// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { syntheticImage } from "../image/testing/synthetic_image.ts";
import { cutImageFindings, sameImageFindings } from "./cut_image.ts";

/** head.time, behind a record header of 8 bytes. */
const TIME = 24;

Deno.test("cutImageFindings() takes any beginning of an image, whatever its time", () => {
  const whole = syntheticImage();
  for (const length of [0, 1, 8, 232, whole.length >> 1, whole.length - 1]) {
    const cut = whole.slice(0, length);
    if (length > TIME) cut[TIME] = (cut[TIME] ?? 0) ^ 1;
    assertEquals(cutImageFindings(cut, whole), [], `${length} bytes`);
  }
});

Deno.test("cutImageFindings() names the first byte that differs, and an image that is whole", () => {
  const whole = syntheticImage();
  const other = whole.slice(0, 400);
  other[300] = (other[300] ?? 0) ^ 1;
  assertEquals(cutImageFindings(other, whole).map(({ id, offset }) => [id, offset]), [[
    "E_OTHER_IMAGE",
    300,
  ]]);
  assertEquals(cutImageFindings(whole, whole).map(({ id }) => id), ["E_CUT"]);
  const twice = new Uint8Array([...whole.slice(0, 100), ...whole]);
  assertEquals(cutImageFindings(twice, whole)[0]?.offset, 100);
});

Deno.test("sameImageFindings() wants the same length", () => {
  const whole = syntheticImage();
  assertEquals(sameImageFindings(whole, whole), []);
  const [finding] = sameImageFindings(whole.slice(0, -1), whole);
  assertEquals([finding?.offset, finding?.actual], [whole.length - 1, `the end, at ${whole.length - 1}`]);
});
