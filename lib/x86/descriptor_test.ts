// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import {
  decodeDescriptor,
  describeDescriptor,
  encodeDescriptor,
  isEmptyDescriptor,
  loadAccessRights,
  loadSegmentLimit,
  type SegmentDescriptor,
  segmentLoadFault,
  viewDescriptor,
} from "./descriptor.ts";

const FLAT_DATA: SegmentDescriptor = {
  base: 0,
  limit: 0xfffff,
  type: 3,
  s: true,
  dpl: 3,
  p: true,
  avl: false,
  l: false,
  d: true,
  g: true,
};
const FLAT_CODE: SegmentDescriptor = { ...FLAT_DATA, type: 0xb };

function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text);
}

Deno.test("decodeDescriptor() and encodeDescriptor() return each of the 64 single-bit values", () => {
  const seen = new Set<string>();
  for (let bit = 0; bit < 64; bit++) {
    const bytes = new Uint8Array(8);
    bytes[bit >> 3] = 1 << (bit & 7);
    const descriptor = decodeDescriptor(bytes);
    assertEquals(encodeDescriptor(descriptor), bytes, `bit ${bit}`);
    seen.add(JSON.stringify(descriptor));
  }
  // Each bit lands in a place of its own: with 64 bits of fields this makes the map one to one.
  assertEquals(seen.size, 64);
});

Deno.test("decodeDescriptor() and encodeDescriptor() return every value of each pair of bytes", () => {
  const bytes = new Uint8Array(8);
  for (let place = 0; place < 8; place++) {
    for (let value = 0; value < 65536; value++) {
      bytes.fill(value % 7 === 0 ? 0xff : 0);
      bytes[place] = value & 0xff;
      bytes[(place + 1 + value % 7) % 8] = value >> 8;
      const again = encodeDescriptor(decodeDescriptor(bytes));
      if (again.toHex() !== bytes.toHex()) assertEquals(again.toHex(), bytes.toHex());
    }
  }
});

Deno.test("decodeDescriptor() reads the fields from where the processor has them", () => {
  assertEquals(decodeDescriptor(hex("ffff001000f3cf00")), { ...FLAT_DATA, base: 0x1000 });
  const all = decodeDescriptor(hex("cdab34125690da78"));
  assertEquals(all, {
    base: 0x78561234,
    limit: 0xaabcd,
    type: 0,
    s: true,
    dpl: 0,
    p: true,
    avl: true,
    l: false,
    d: true,
    g: true,
  });
});

Deno.test("decodeDescriptor() reads at an offset and refuses fewer than 8 bytes", () => {
  assertEquals(decodeDescriptor(hex("0000ffff001000f3cf00"), 2).base, 0x1000);
  assertThrows(() => decodeDescriptor(hex("ffff001000f3cf00"), 1), RangeError, "8 bytes at offset 1");
  assertThrows(() => decodeDescriptor(hex("ffff001000f3cf00"), -1), RangeError);
});

Deno.test("encodeDescriptor() refuses fields that do not fit", () => {
  assertThrows(() => encodeDescriptor({ ...FLAT_DATA, limit: 0x100000 }), RangeError, "limit");
  assertThrows(() => encodeDescriptor({ ...FLAT_DATA, base: -1 }), RangeError, "base");
  assertThrows(() => encodeDescriptor({ ...FLAT_DATA, type: 16 }), RangeError, "type");
  assertThrows(() => encodeDescriptor({ ...FLAT_DATA, dpl: 4 }), RangeError, "dpl");
  assertThrows(() => encodeDescriptor({ ...FLAT_DATA, base: 0.5 }), RangeError, "base");
});

Deno.test("isEmptyDescriptor() is true for 8 zero bytes only", () => {
  assertEquals(isEmptyDescriptor(decodeDescriptor(new Uint8Array(8))), true);
  for (let bit = 0; bit < 64; bit++) {
    const bytes = new Uint8Array(8);
    bytes[bit >> 3] = 1 << (bit & 7);
    assertEquals(isEmptyDescriptor(decodeDescriptor(bytes)), false, `bit ${bit}`);
  }
});

Deno.test("viewDescriptor() names each of the 16 code and data types", () => {
  const names = Array.from({ length: 16 }, (_, type) => viewDescriptor({ ...FLAT_DATA, type }).typeName);
  const plain = [
    "data read-only",
    "data read-write",
    "data read-only expand-down",
    "data read-write expand-down",
    "code execute-only",
    "code readable",
    "code execute-only conforming",
    "code readable conforming",
  ];
  // Bit 0 says accessed and changes no name.
  assertEquals(names, plain.flatMap((name) => [name, name]));
  assertEquals(viewDescriptor({ ...FLAT_DATA, type: 2 }).accessed, false);
  assertEquals(viewDescriptor({ ...FLAT_DATA, type: 3 }).accessed, true);
});

Deno.test("viewDescriptor() applies the granularity to the limit", () => {
  assertEquals(viewDescriptor(FLAT_DATA).limitInBytes, 0xffffffff);
  assertEquals(viewDescriptor({ ...FLAT_DATA, limit: 0 }).limitInBytes, 0xfff);
  assertEquals(viewDescriptor({ ...FLAT_DATA, g: false }).limitInBytes, 0xfffff);
});

Deno.test("viewDescriptor() gives the offsets of an expand-down segment above its limit", () => {
  const down = { ...FLAT_DATA, type: 7, limit: 0x10, g: false };
  assertEquals(viewDescriptor(down).offsets, { first: 0x11, last: 0xffffffff });
  assertEquals(viewDescriptor({ ...down, d: false }).offsets, { first: 0x11, last: 0xffff });
  assertEquals(viewDescriptor({ ...down, limit: 0xffff, d: false }).offsets, undefined);
  assertEquals(viewDescriptor({ ...down, type: 3 }).offsets, { first: 0, last: 0x10 });
});

Deno.test("viewDescriptor() tells 16, 32 and 64 bits apart", () => {
  assertEquals(viewDescriptor(FLAT_DATA).bits, 32);
  assertEquals(viewDescriptor({ ...FLAT_DATA, d: false }).bits, 16);
  assertEquals(viewDescriptor({ ...FLAT_CODE, d: false, l: true }).bits, 64);
  assertEquals(viewDescriptor({ ...FLAT_DATA, s: false }).bits, undefined);
});

Deno.test("describeDescriptor() says in one line what a person wants to know", () => {
  assertEquals(
    describeDescriptor(hex("ffff001000f3cf00")),
    "data read-write, base 0x00001000, limit 0xffffffff (page), 32-bit, DPL 3, present, accessed",
  );
  assertEquals(
    describeDescriptor(hex("1000002000f70000")),
    "data read-write expand-down, base 0x00002000, limit 0x00000010 (byte), " +
      "offsets 0x00000011..0x0000ffff, 16-bit, DPL 3, present, accessed",
  );
  assertEquals(
    describeDescriptor(hex("efbe2143ad7e55de")),
    "code readable conforming, base 0xdead4321, limit 0x0005beef (byte), 32-bit, DPL 3, not present, AVL",
  );
  assertEquals(describeDescriptor(new Uint8Array(8)), "empty");
  assertEquals(
    describeDescriptor(hex("6700000000890000")),
    "system: 32-bit TSS (available), base 0x00000000, limit 0x00000067 (byte), DPL 0, present",
  );
});

Deno.test("loadAccessRights() gives the defined bits, whether the segment is present or not", () => {
  assertEquals(loadAccessRights(FLAT_DATA), 0x00c0f300);
  assertEquals(loadAccessRights({ ...FLAT_DATA, p: false }), 0x00c07300);
  assertEquals(loadAccessRights({ ...FLAT_CODE, avl: true, d: false, g: false }), 0x0010fb00);
});

Deno.test("loadAccessRights() and loadSegmentLimit() see no segment of a lower privilege level", () => {
  for (const dpl of [0, 1, 2]) {
    assertEquals(loadAccessRights({ ...FLAT_DATA, dpl }), undefined);
    assertEquals(loadSegmentLimit({ ...FLAT_CODE, dpl }), undefined);
    // Conforming code is visible from everywhere.
    assertEquals(loadSegmentLimit({ ...FLAT_CODE, type: 0xf, dpl }), 0xffffffff);
  }
});

Deno.test("loadAccessRights() and loadSegmentLimit() know the system types of both modes", () => {
  const visible = (longMode: boolean): number[][] => {
    const types = Array.from({ length: 16 }, (_, type) => type);
    const system = (type: number): SegmentDescriptor => ({ ...FLAT_DATA, s: false, type });
    return [
      types.filter((type) => loadAccessRights(system(type), { longMode }) !== undefined),
      types.filter((type) => loadSegmentLimit(system(type), { longMode }) !== undefined),
    ];
  };
  assertEquals(visible(false), [[1, 2, 3, 4, 5, 9, 11, 12], [1, 2, 3, 9, 11]]);
  assertEquals(visible(true), [[2, 9, 11, 12], [2, 9, 11]]);
});

Deno.test("loadSegmentLimit() gives the limit in bytes", () => {
  assertEquals(loadSegmentLimit(FLAT_DATA), 0xffffffff);
  assertEquals(loadSegmentLimit({ ...FLAT_DATA, limit: 0x12345, g: false }), 0x12345);
  assertEquals(loadSegmentLimit(decodeDescriptor(new Uint8Array(8))), undefined);
});

Deno.test("segmentLoadFault() tells which exception a load raises", () => {
  const absent = { ...FLAT_DATA, p: false };
  assertEquals(segmentLoadFault(FLAT_DATA, "ds"), undefined);
  assertEquals(segmentLoadFault(absent, "fs"), "NP");
  assertEquals(segmentLoadFault(absent, "ss"), "SS");
  assertEquals(segmentLoadFault(FLAT_DATA, "ss"), undefined);
  assertEquals(segmentLoadFault(FLAT_DATA, "ss", { rpl: 2 }), "GP");
  assertEquals(segmentLoadFault({ ...FLAT_DATA, type: 1 }, "ss"), "GP");
  assertEquals(segmentLoadFault({ ...FLAT_DATA, type: 1 }, "es"), undefined);
  assertEquals(segmentLoadFault(FLAT_CODE, "gs"), undefined);
  assertEquals(segmentLoadFault({ ...FLAT_CODE, type: 9 }, "gs"), "GP");
  assertEquals(segmentLoadFault({ ...FLAT_DATA, s: false }, "ds"), "GP");
  assertEquals(segmentLoadFault({ ...FLAT_DATA, dpl: 0 }, "ds"), "GP");
  assertEquals(segmentLoadFault({ ...FLAT_CODE, type: 0xf, dpl: 0 }, "ds"), undefined);
  assertEquals(segmentLoadFault(FLAT_DATA, "cs"), "GP");
  assertEquals(segmentLoadFault(FLAT_CODE, "cs"), undefined);
  assertEquals(segmentLoadFault({ ...FLAT_CODE, p: false }, "cs"), "NP");
  assertEquals(segmentLoadFault({ ...FLAT_CODE, l: true }, "cs", { longMode: true }), "GP");
});
