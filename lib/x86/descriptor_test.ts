// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import {
  decodeDescriptor,
  describeDescriptor,
  encodeDescriptor,
  fillLdt,
  isEmptyDescriptor,
  loadAccessRights,
  loadSegmentLimit,
  type SegmentDescriptor,
  segmentLoadFault,
  validOffsets,
} from "./descriptor.ts";
import { decodeUserDesc, type UserDesc, ZERO_USER_DESC } from "./user_desc.ts";

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
      if (again.some((byte, index) => byte !== bytes[index])) assertEquals(again.toHex(), bytes.toHex());
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

/** What is said of a descriptor, from its type on. */
function words(change: Partial<SegmentDescriptor>): string[] {
  return describeDescriptor(encodeDescriptor({ ...FLAT_DATA, ...change })).split(", ");
}

Deno.test("describeDescriptor() names each of the 16 code and data types", () => {
  const names = Array.from({ length: 16 }, (_, type) => words({ type })[0]);
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
  assertEquals([2, 3].map((type) => words({ type }).includes("accessed")), [false, true]);
});

Deno.test("describeDescriptor() applies the granularity to the limit", () => {
  assertEquals(words({})[2], "limit 0xffffffff (page)");
  assertEquals(words({ limit: 0 })[2], "limit 0x00000fff (page)");
  assertEquals(words({ g: false })[2], "limit 0x000fffff (byte)");
});

Deno.test("validOffsets() gives the offsets of an expand-down segment above its limit", () => {
  const down = { ...FLAT_DATA, type: 7, limit: 0x10, g: false };
  assertEquals(validOffsets(down), { first: 0x11, last: 0xffffffff });
  assertEquals(validOffsets({ ...down, d: false }), { first: 0x11, last: 0xffff });
  assertEquals(validOffsets({ ...down, limit: 0xffff, d: false }), undefined);
  assertEquals(validOffsets({ ...down, type: 3 }), { first: 0, last: 0x10 });
  assertEquals(validOffsets(decodeDescriptor(new Uint8Array(8))), undefined);
});

Deno.test("describeDescriptor() tells 16, 32 and 64 bits apart", () => {
  const bits = (change: Partial<SegmentDescriptor>) => words(change).filter((word) => word.endsWith("-bit"));
  assertEquals(bits({}), ["32-bit"]);
  assertEquals(bits({ d: false }), ["16-bit"]);
  assertEquals(bits({ ...FLAT_CODE, d: false, l: true }), ["64-bit"]);
  assertEquals(bits({ s: false }), []);
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

function filled(change: Partial<UserDesc>, options: Parameters<typeof fillLdt>[1]): string {
  return encodeDescriptor(fillLdt({ ...ZERO_USER_DESC, ...change }, options)).toHex();
}

Deno.test("fillLdt() makes the bytes that a 6.1 kernel was seen to make", () => {
  const flat = { baseAddr: 0x1000, limit: 0xfffff, seg32bit: true, limitInPages: true };
  assertEquals(filled(flat, { dialect: "port" }), "ffff001000f3cf00");
  const old = { baseAddr: 0x2000, limit: 0x10, seg32bit: true, limitInPages: true, useable: true };
  assertEquals(filled(old, { dialect: "port", oldMode: true }), "1000002000f3c000");
});

Deno.test("fillLdt() makes the bytes that a 2.6.28 kernel was seen to make", () => {
  const flat = { baseAddr: 0x08048000, limit: 0xfffff, seg32bit: true, limitInPages: true, useable: true };
  assertEquals(filled(flat, { dialect: "v11", oldMode: true }), "ffff008004f2cf08");
  assertEquals(filled(flat, { dialect: "v11" }), "ffff008004f2df08");
});

Deno.test("fillLdt() is one formula of bits for every value of the flags", () => {
  for (let flags = 0; flags < 256; flags++) {
    const bytes = new Uint8Array(16).fill(0xff);
    new DataView(bytes.buffer).setUint32(4, 0x9abcdef0, true);
    new DataView(bytes.buffer).setUint32(8, 0xfff54321, true);
    new DataView(bytes.buffer).setUint32(12, flags, true);
    const bit = (number: number): number => (flags >> number) & 1;
    for (const dialect of ["port", "v11"] as const) {
      for (const oldMode of [false, true]) {
        const type = ((flags >> 1) & 3) << 2 | (bit(3) ^ 1) << 1 | Number(dialect === "port");
        const access = type | 0x70 | (bit(5) ^ 1) << 7;
        const high = 5 | (oldMode ? 0 : bit(6)) << 4 | bit(0) << 6 | bit(4) << 7;
        const expected = [0x21, 0x43, 0xf0, 0xde, 0xbc, access, high, 0x9a];
        const found = [...encodeDescriptor(fillLdt(decodeUserDesc(bytes), { dialect, oldMode }))];
        assertEquals(found, expected, `${dialect} ${oldMode} flags ${flags}`);
      }
    }
  }
});
