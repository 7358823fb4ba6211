// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import type { Area } from "./area.ts";
import { AddressSpace } from "./address_space.ts";
import { fillContent, ZERO_CONTENT } from "./page_content.ts";
import { VM } from "../../abi/vm_flags.ts";

const RW = VM.READ | VM.WRITE;
function area(start: number, end: number, more: Partial<Area> = {}): Area {
  return {
    label: "a",
    start,
    end,
    flags: RW,
    pgoff: start,
    ...more,
  };
}

Deno.test("AddressSpace keeps areas in order and refuses overlaps", () => {
  const space = new AddressSpace();
  space.map(area(10, 20));
  space.map(area(0, 5));
  space.map(area(5, 10));
  assertEquals(space.areas.map(({ start }) => start), [0, 5, 10]);
  assertThrows(() => space.map(area(19, 21)), RangeError, "overlaps");
  assertEquals([0, 4, 5, 9, 19, 20].map((page) => space.areaAt(page)?.start), [0, 0, 5, 5, 10, undefined]);
});

Deno.test("AddressSpace splits where attributes change, and unmaps with pages", () => {
  const space = new AddressSpace();
  space.map(area(0, 10));
  for (let page = 0; page < 10; page++) space.setPage(page, fillContent(1, page * 4096), "written");
  space.change(3, 5, (old) => ({ ...old, flags: VM.READ }));
  space.unmap(4, 8);
  assertEquals(space.areas.map(({ start, end, pgoff }) => [start, end, pgoff]), [[0, 3, 0], [3, 4, 3], [
    8,
    10,
    8,
  ]]);
  assertEquals([...space.pages.keys()], [0, 1, 2, 3, 8, 9]);
});

Deno.test("AddressSpace knows which of several areas share an anon_vma", () => {
  const space = new AddressSpace();
  space.map(area(0, 4));
  space.map(area(4, 8));
  space.map(area(8, 12, { flags: VM.READ }));
  space.setPage(5, ZERO_CONTENT, "written");
  assertEquals(space.areas.map((one) => Boolean(one.hasAnonVma)), [true, true, false]);
  space.change(8, 12, (old) => ({ ...old, flags: RW }));
  assertEquals(space.areas.map((one) => Boolean(one.hasAnonVma)), [true, true, true]);
  space.map(area(12, 16, { pgoff: 99 }));
  assertEquals(space.areas.at(-1)!.hasAnonVma, undefined);
});

Deno.test("AddressSpace makes a huge page of the first write to an aligned block", () => {
  const space = new AddressSpace({ huge: "madvise" });
  space.map(area(512, 2048, { flags: RW | VM.HUGEPAGE }));
  space.setPage(600, fillContent(1, 600 * 4096), "written");
  assertEquals(space.pages.size, 512);
  assertEquals(space.pages.get(512)?.content, ZERO_CONTENT);
  // A block that was read has the huge zero page, one that was written to has a page table or a huge page.
  space.readPage(1030);
  space.setPage(1031, ZERO_CONTENT, "written");
  assertEquals(space.pages.size, 513);
  space.dropPages(512, 1024);
  space.setPage(1000, ZERO_CONTENT, "written again");
  assertEquals(space.pages.size, 513);
});

Deno.test("AddressSpace takes no huge page without advice, room or a policy that allows it", () => {
  const count = (flags: bigint, policy: "madvise" | "always" | undefined, start = 512) => {
    const space = new AddressSpace({ huge: policy });
    space.map(area(start, 1024, { flags }));
    space.setPage(700, ZERO_CONTENT, "written");
    return space.pages.size;
  };
  assertEquals(count(RW | VM.HUGEPAGE, undefined), 1);
  assertEquals(count(RW, "madvise"), 1);
  assertEquals(count(RW, "always"), 512);
  assertEquals(count(RW | VM.NOHUGEPAGE, "always"), 1);
  assertEquals(count(RW, "always", 513), 1);
});

Deno.test("AddressSpace gives a copy of its own", () => {
  const space = new AddressSpace();
  space.map(area(0, 4));
  space.setPage(1, ZERO_CONTENT, "written");
  const copy = space.clone();
  copy.unmap(0, 2);
  assertEquals([space.pages.size, copy.pages.size], [1, 0]);
  assertEquals([space.areas.length, copy.areas[0]!.start], [1, 2]);
});

Deno.test("AddressSpace is behind a restart as if its pages had just been written, and nothing else done", () => {
  const space = new AddressSpace({ huge: "always" });
  space.map(area(0, 4));
  space.map(area(512, 1024));
  space.readPage(512);
  space.setPage(1, fillContent(1, 4096), "written");
  space.free(1, 2);
  space.change(2, 4, (old) => ({ ...old, flags: VM.READ }));
  space.restart();
  assertEquals(space.areas.map(({ hasAnonVma = false }) => hasAnonVma), [true, false, false]);
  space.pageOut(1, 2, { slowDevice: false });
  assertEquals(space.pages.get(1)?.swapped, true);
  // Its page table was there for the read alone.
  space.setPage(513, ZERO_CONTENT, "written");
  assertEquals(space.pages.size, 1 + 512);
});
