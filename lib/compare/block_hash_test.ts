// SPDX-License-Identifier: MIT

import { assertEquals, assertNotEquals } from "@std/assert";
import { BlockHash, blockHash } from "./block_hash.ts";

Deno.test("blockHash() does not depend on where the blocks were cut", () => {
  const bytes = Uint8Array.from({ length: 1021 }, (_, i) => (i * 7 + (i >> 3)) & 0xff);
  const whole = blockHash(bytes);
  for (const cut of [1, 2, 3, 4, 5, 7, 64, 1000]) {
    const hash = new BlockHash();
    for (let at = 0; at < bytes.length; at += cut) hash.update(bytes.subarray(at, at + cut));
    assertEquals(hash.lanes(), whole, `cut every ${cut} bytes`);
  }
});

Deno.test("blockHash() changes with every byte, with the length and with swapped words", () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => i);
  const whole = blockHash(bytes);
  for (let i = 0; i < bytes.length; i++) {
    const changed = bytes.slice();
    changed[i]! ^= 1;
    assertNotEquals(blockHash(changed), whole, `byte ${i}`);
  }
  assertNotEquals(blockHash(new Uint8Array(4)), blockHash(new Uint8Array(3)));
  const swapped = new Uint8Array(bytes.length);
  swapped.set(bytes.subarray(32), 0);
  swapped.set(bytes.subarray(0, 32), 32);
  assertNotEquals(blockHash(swapped), whole);
});

Deno.test("BlockHash.hex() is the value that vm/guest/hash.c computes for the same bytes", () => {
  assertEquals(new BlockHash().hex(), "811c9dc59747b28c");
});
