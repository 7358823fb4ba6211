// SPDX-License-Identifier: MIT
import { assertEquals, assertNotEquals } from "@std/assert";
import { BlockHash, blockHashHex } from "./block_hash.ts";

function digest(bytes: Uint8Array): bigint {
  return new BlockHash().update(bytes).digest();
}

/** The definition, word by word, in exact arithmetic. */
function slowHash(bytes: Uint8Array): bigint {
  const mask = 0xffffffffn;
  let a = 0x811c9dc5n;
  let b = 0x9747b28cn;
  for (let at = 0; at < bytes.length; at += 4) {
    let word = 0n;
    for (let i = 3; i >= 0; i--) word = word << 8n | BigInt(bytes[at + i] ?? 0);
    a = ((a ^ word) * 0x01000193n) & mask;
    a ^= a >> 15n;
    b = ((b + word) * 0x85ebca6bn) & mask;
    b ^= b >> 13n;
  }
  const length = BigInt(bytes.length);
  return (a ^ length) << 32n | ((b + length) & mask);
}

function noise(length: number): Uint8Array {
  let x = 12345;
  return Uint8Array.from({ length }, () => (x = Math.imul(x, 1103515245) + 12345) >>> 16);
}

Deno.test("blockHash() is what its definition says, for every length up to 67", () => {
  for (let length = 0; length <= 67; length++) {
    const bytes = noise(length);
    assertEquals(digest(bytes), slowHash(bytes), `length ${length}`);
  }
});

Deno.test("blockHash() does not care where in its buffer a block lies", () => {
  const bytes = noise(70_001);
  const expected = slowHash(bytes);
  for (let offset = 0; offset < 4; offset++) {
    const moved = new Uint8Array(bytes.length + offset);
    moved.set(bytes, offset);
    assertEquals(digest(moved.subarray(offset)), expected, `offset ${offset}`);
  }
});

Deno.test("BlockHash takes a block in portions of any size", () => {
  const bytes = noise(1000);
  const expected = slowHash(bytes);
  for (const portion of [1, 2, 3, 5, 7, 64, 999]) {
    const hash = new BlockHash();
    for (let at = 0; at < bytes.length; at += portion) hash.update(bytes.subarray(at, at + portion));
    assertEquals(hash.digest(), expected, `portions of ${portion}`);
    assertEquals(hash.digest(), expected, "asking does not change the hash");
    assertEquals(hash.length, 1000);
  }
});

Deno.test("blockHash() tells blocks apart that differ in one bit, in length, or in order", () => {
  const bytes = noise(4096);
  const expected = digest(bytes);
  for (const at of [0, 1, 2, 3, 2048, 4095]) {
    const changed = bytes.slice();
    changed[at] = (changed[at] ?? 0) ^ 0x80;
    assertNotEquals(digest(changed), expected, `byte ${at}`);
  }
  assertNotEquals(digest(bytes.subarray(0, 4095)), expected);
  assertNotEquals(digest(new Uint8Array(4)), digest(new Uint8Array(3)));
  const turned = bytes.slice();
  turned.copyWithin(0, 2048);
  turned.set(bytes.subarray(0, 2048), 2048);
  assertNotEquals(digest(turned), expected);
});

Deno.test("blockHashHex() prints sixteen digits, lane a first", () => {
  assertEquals(blockHashHex(new Uint8Array()), "811c9dc59747b28c");
  assertEquals(BigInt(`0x${blockHashHex(noise(9))}`), slowHash(noise(9)));
});
