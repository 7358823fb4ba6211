// SPDX-License-Identifier: MIT
import { assertEquals, assertMatch } from "@std/assert";
import { contentBytes } from "../model/state/page_content.ts";
import { compileSteps } from "../model/testing/compile_steps.ts";
import { explainPage } from "./explain_page.ts";

Deno.test("explainPage() says what the model knows of a page, and whether the image has it so", () => {
  const { stops: [stop] } = compileSteps([
    { op: "mmap", area: "a", pages: 4 },
    { op: "write", area: "a", pages: "1" },
    { op: "stop", label: "s" },
  ]);
  const { areas: [area], pages } = stop!.prediction;
  const first = BigInt(area!.start) * 4096n;
  const bytes = contentBytes(pages.get(area!.start + 1)!.content);
  const of = (page: bigint, bytes?: Uint8Array) => explainPage(stop!, first + page * 4096n, bytes);
  const must = /^page 1 of area "a": must be in the image, written by step 2: fill of seed 0x\w+ at 0x\w+/;
  for (const text of [of(1n), of(1n, bytes)]) assertMatch(text, must);
  assertMatch(of(1n), /; it is not$/);
  assertMatch(of(1n, bytes), /; it is there with these bytes$/);
  const wrong = bytes.slice();
  wrong[16]! ^= 1;
  assertMatch(of(1n, wrong), /; byte 0x010 must be 0x(\w\w), and is 0x(?!\1)\w\w$/);
  assertEquals(of(2n), `page 2 of area "a": no step wrote to it: it is not in the image`);
  assertEquals(of(2n, bytes), `page 2 of area "a": no step wrote to it, and yet it is in the image`);
  assertEquals(
    of(-2n),
    "no page of an area of the steps: judged by what /proc/PID/pagemap and mem show",
  );
});
