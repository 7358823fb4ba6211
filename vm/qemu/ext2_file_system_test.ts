// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { formatExt2 } from "./ext2_file_system.ts";

Deno.test("formatExt2() makes a superblock, and a root directory that is its own parent", () => {
  const bytes = formatExt2();
  const view = new DataView(bytes.buffer);
  assertEquals(view.getUint16(1024 + 56, true), 0xef53);
  assertEquals([view.getUint32(1024, true), view.getUint32(1024 + 4, true)], [16, 8192]);
  const root = view.getUint32(5 * 1024 + 128 + 40, true) * 1024;
  assertEquals([0, 12].map((at) => view.getUint32(root + at, true)), [2, 2]);
  const free = [...bytes.subarray(3 * 1024, 4 * 1024)].flatMap((byte) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit & 1) === 0)
  );
  assertEquals(free.length, view.getUint32(1024 + 12, true));
});
