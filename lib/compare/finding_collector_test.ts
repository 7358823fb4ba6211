// SPDX-License-Identifier: MIT

import { assertEquals, assertMatch } from "@std/assert";
import type { RecordNodeOf } from "../image/nodes.ts";
import { findingText } from "../image/finding.ts";
import { readNodes } from "../image/image.ts";
import { syntheticImage } from "../image/testing/synthetic_image.ts";
import { firstDifference } from "../bytes.ts";
import { expected, FindingCollector } from "./finding_collector.ts";
import { hexBytes } from "../bytes.ts";

const IMAGE = syntheticImage({});
const TAIL = readNodes(IMAGE).nodes.findLast((node) => node.kind === "record") as RecordNodeOf<"TAIL">;
const MAGIC = TAIL.fields.magic;

function collected(
  collect: (collector: FindingCollector) => void,
): { ids: string[]; unexplained: number; collector: FindingCollector } {
  const it = new FindingCollector(IMAGE.length);
  collect(it);
  return {
    ids: it.findings.map(({ id, path }) => `${id} ${path}`),
    unexplained: TAIL.length - (IMAGE.length - it.coverage.counts().unexplained),
    collector: it,
  };
}

Deno.test("FindingCollector.fields() explains what is as expected, and reports what is not", () => {
  const good = collected((collector) => collector.fields(TAIL, { magic: expected(MAGIC, "format") }));
  assertEquals([good.ids, good.unexplained], [[], 8]);
  const bad = collected((collector) => collector.fields(TAIL, { magic: expected(1n, "stat") }));
  assertEquals(bad.ids, ["E_FIELD tail.magic"]);
  assertEquals(bad.collector.findings[0]?.offset, TAIL.offset + 8);
  assertEquals([bad.collector.findings[0]?.expected, bad.collector.coverage.counts().observed], ["1", 8]);
});

Deno.test("FindingCollector.fields() leaves a field without an expectation unexplained", () => {
  const { ids, unexplained } = collected((collector) => collector.fields(TAIL, {}));
  assertEquals([ids, unexplained], [[], TAIL.length]);
});

Deno.test("FindingCollector.fields() declares a volatile field only while its check accepts it", () => {
  const declared = (isGood: boolean) =>
    collected((collector) =>
      collector.fields(TAIL, {
        magic: { name: "m", reason: "r", accept: () => isGood, wrong: "too late" },
      })
    );
  const good = declared(true);
  assertEquals([good.ids, good.collector.coverage.counts().volatile], [[], 8]);
  const bad = declared(false);
  assertEquals([bad.ids, bad.collector.coverage.counts().volatile], [["E_FIELD tail.magic"], 0]);
  assertEquals(bad.collector.findings[0]?.message, "too late");
});

Deno.test("FindingCollector.header() checks the parent", () => {
  assertEquals(collected((collector) => collector.header(TAIL, TAIL.header.parent)).ids, []);
  assertEquals(collected((collector) => collector.header(TAIL, 77)).ids, ["E_PARENT tail.parent"]);
});

Deno.test("FindingCollector.bytes() shows where bytes differ, and counts entries where there are some", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const check = (actual: Uint8Array, unit?: number) =>
    collected((collector) =>
      collector.bytes({ path: "ldt" }, 16, actual, {
        bytes,
        by: "steps",
        id: "E_X",
        what: "it",
        ...(unit === undefined ? {} : { unit }),
      })
    );
  assertEquals(check(bytes.slice()).ids, []);
  const changed = check(Uint8Array.of(1, 2, 3, 4, 5, 0, 7, 8), 4);
  assertEquals(changed.ids, ["E_X ldt[1]"]);
  assertEquals(changed.collector.findings[0]?.offset, 16 + 5);
  assertEquals(changed.collector.findings[0]?.expected, "05 06 07 08 (8 bytes)");
  assertEquals(check(bytes.slice(0, 6)).ids, ["E_X ldt"]);
  assertEquals(check(Uint8Array.of(...bytes, 9)).ids, ["E_X ldt"]);
});

Deno.test("FindingCollector.report() keeps so many findings of an id, the last with the number of all others", () => {
  const { ids, collector } = collected((it) => {
    for (let i = 0; i < 50; i++) it.report("E_X", { path: `x[${i}]` }, "again");
    it.report("E_Y", { path: "y" }, "another");
  });
  assertEquals([ids.length, ids.at(-1)], [21, "E_Y y"]);
  assertEquals(collector.findings.slice(18).map(({ count }) => count), [undefined, 31, undefined]);
  assertMatch(findingText(collector.findings[19]!), /^mismatch E_X x\[19\]: again \(31 places\)$/);
});

Deno.test("firstDifference() finds the first byte that differs or that one side lacks", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  assertEquals(firstDifference(bytes, Uint8Array.of(1, 2, 3)), -1);
  assertEquals(firstDifference(bytes, Uint8Array.of(1, 0, 0)), 1);
  assertEquals(firstDifference(bytes, Uint8Array.of(1, 2)), 2);
  assertEquals(firstDifference(new Uint8Array(0), bytes), 0);
  assertEquals(hexBytes(Uint8Array.of(0, 0xab)), "00 ab");
});
