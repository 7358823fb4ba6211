// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { encode } from "./image_writer.ts";
import { readImage } from "./image.ts";
import { isRecord } from "./nodes.ts";
import { DATA_DESCRIPTOR, syntheticImage, type SyntheticOptions } from "./testing/synthetic_image.ts";

const SAMPLES: readonly SyntheticOptions[] = [
  {},
  { wordSize: 4 },
  { ldt: DATA_DESCRIPTOR, unknownType: 2000 },
  { dialect: "v11" },
  { dialect: "v11", revision: 2, files: true },
  { dialect: "v11", revision: 3, tasks: 3, files: true },
];

Deno.test("encode() gives the bytes that an image was decoded from", () => {
  for (const options of SAMPLES) {
    const bytes = syntheticImage(options);
    assertEquals(encode(readImage(bytes)), bytes);
  }
});

Deno.test("encode() keeps bytes that mean nothing, and what follows TAIL", () => {
  const bytes = syntheticImage();
  // Padding of HEAD_ARCH and TASK.
  bytes[246] = 0xab;
  bytes[279] = 0xcd;
  const longer = new Uint8Array([...bytes, 1, 2, 3]);
  assertEquals(encode(readImage(longer)), longer);
});

Deno.test("encode() writes a changed field", () => {
  const bytes = syntheticImage();
  const { nodes } = readImage(bytes);
  const changed = nodes.map((node) =>
    isRecord(node, "HEAD") ? { ...node, fields: { ...node.fields, time: 7n } } : node
  );
  bytes.set([7, 0, 0, 0], 24);
  assertEquals(encode(changed), bytes);
});

Deno.test("encode() refuses an address that is too wide, and pages without address", () => {
  const { nodes } = readImage(syntheticImage({ wordSize: 4 }));
  const wide = nodes.map((node) =>
    node.kind === "pages" ? { ...node, vaddrs: node.vaddrs.map((a) => a | 1n << 32n) } : node
  );
  assertThrows(() => encode(wide), RangeError, "needs 8 bytes, not 4");
  const short = nodes.map((node) =>
    node.kind === "pages" ? { ...node, vaddrs: node.vaddrs.subarray(1) } : node
  );
  assertThrows(() => encode(short), RangeError, "pages, not");
});
