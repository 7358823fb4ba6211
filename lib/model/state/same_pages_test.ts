// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { Step } from "../scenario.ts";
import { pagesIn, predictSteps } from "../testing/compile_steps.ts";

const map: Step = { op: "mmap", area: "a", pages: 6 };
function poke(page: number, value: number): Step {
  return { op: "poke", area: "a", page, value };
}

const mergeable: Step = { op: "madvise", area: "a", pages: "0..4", advice: "mergeable" };

function merged(steps: Step[], how: "pages" | "zeros too") {
  const prediction = predictSteps([map, ...steps, mergeable, { op: "stop", label: "x", merged: how }]);
  const start = prediction.areas[0]!.start;
  return {
    groups: prediction.merged.map((group) => group.map((page) => page - start)),
    pages: pagesIn(prediction, "a"),
  };
}

Deno.test("mergeablePages() groups equal pages of mergeable areas, and no others", () => {
  const steps: Step[] = [poke(0, 1), poke(1, 2), poke(2, 1), poke(3, 2), poke(4, 3), poke(5, 1)];
  assertEquals(merged(steps, "pages"), { groups: [[0, 2], [1, 3]], pages: [0, 1, 2, 3, 4, 5] });
});

Deno.test("zeroPages() are dropped only where ksmd maps the zero page for them", () => {
  const steps: Step[] = [{ op: "zero", area: "a", pages: "0..1,5" }, poke(2, 0), poke(3, 1)];
  assertEquals(merged(steps, "pages"), { groups: [[0, 1]], pages: [0, 1, 2, 3, 5] });
  assertEquals(merged(steps, "zeros too"), { groups: [], pages: [3, 5] });
});
