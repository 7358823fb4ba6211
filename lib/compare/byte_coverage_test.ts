// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { addCounts, ByteCoverage } from "./byte_coverage.ts";

Deno.test("ByteCoverage counts each byte once, in the class that came first", () => {
  const coverage = new ByteCoverage(20);
  coverage.claim(0, 8, "steps");
  coverage.claim(4, 8, "maps");
  coverage.claimVolatile(10, 4, { name: "time", reason: "it passes" });
  coverage.claimVolatile(16, 2, { name: "time", reason: "it passes" });
  assertEquals(coverage.counts(), { total: 20, predicted: 8, observed: 4, volatile: 4, unexplained: 4 });
  assertEquals([...coverage.bySource], [["steps", 8], ["maps", 4]]);
  assertEquals([...coverage.volatileNames], [["time", { bytes: 4, reason: "it passes" }]]);
});

Deno.test("ByteCoverage.unexplainedRuns() tells where bytes are that nothing explains", () => {
  const coverage = new ByteCoverage(20);
  assertEquals(coverage.unexplainedRuns(), [{ offset: 0, length: 20 }]);
  coverage.claim(3, 2, "steps");
  coverage.claim(10, 9, "maps");
  assertEquals(coverage.unexplainedRuns(), [
    { offset: 0, length: 3 },
    { offset: 5, length: 5 },
    { offset: 19, length: 1 },
  ]);
  assertEquals(coverage.unexplainedRuns(2).length, 2);
  coverage.claim(0, 20, "steps");
  assertEquals([coverage.unexplainedRuns(), coverage.counts().unexplained], [[], 0]);
});

Deno.test("ByteCoverage refuses bytes outside the image", () => {
  const coverage = new ByteCoverage(4);
  assertThrows(() => coverage.claim(2, 3, "steps"), RangeError, "2 to 5");
  assertThrows(() => coverage.claim(5, 1, "maps"), RangeError);
});

Deno.test("addCounts() adds every class", () => {
  const sum = { total: 1, predicted: 2, observed: 3, volatile: 4, unexplained: 5 };
  addCounts(sum, { total: 10, predicted: 20, observed: 30, volatile: 40, unexplained: 50 });
  assertEquals(sum, { total: 11, predicted: 22, observed: 33, volatile: 44, unexplained: 55 });
});
