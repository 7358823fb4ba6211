// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import type { PagesNode } from "../../image/nodes.ts";
import { readExecBlock } from "./exec_block.ts";

const PAGE = 0xbffff000;

/** A page that holds 2 arguments and 1 variable, its pointers from 0xf00 and its strings from 0xfe0 on. */
function stackPage(pointers: readonly number[]): PagesNode {
  const pages = new Uint8Array(4096);
  const view = new DataView(pages.buffer);
  pointers.forEach((value, i) => view.setUint32(0xf00 + 4 * i, value, true));
  pages.set(new TextEncoder().encode("/bin/a\0bc\0HOME=/\0/bin/a\0"), 0xfe0);
  const base = { kind: "pages", offset: 0, length: 4100, path: "", wordSize: 4, count: 1 } as const;
  return { ...base, counted: "absolute", vaddrs: BigUint64Array.of(BigInt(PAGE)), pagesOffset: 4, pages };
}

Deno.test("readExecBlock() follows the pointers of arguments and environment", () => {
  const node = stackPage([2, PAGE + 0xfe0, PAGE + 0xfe7, 0, PAGE + 0xfea, 0]);
  assertEquals(readExecBlock([node], PAGE + 0xf00), {
    argStart: PAGE + 0xfe0,
    argEnd: PAGE + 0xfea,
    envStart: PAGE + 0xfea,
    envEnd: PAGE + 0xff1,
  });
});

Deno.test("readExecBlock() gives nothing where there is no such block", () => {
  const wrong = stackPage([2, PAGE + 0xfe0, PAGE + 0xfe8, 0, PAGE + 0xfea, 0]);
  assertEquals(readExecBlock([wrong], PAGE + 0xf00), undefined);
  assertEquals(readExecBlock([], PAGE + 0xf00), undefined);
  assertEquals(readExecBlock([stackPage([1, PAGE + 0xfe0, 7])], PAGE + 0xf00), undefined);
});
