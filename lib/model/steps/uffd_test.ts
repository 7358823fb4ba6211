// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { ScenarioError, type Step } from "../scenario.ts";
import { pagesIn, predictSteps } from "../testing/compile_steps.ts";
import { VM } from "../../abi/vm_flags.ts";

const source: Step[] = [{ op: "mmap", area: "src", pages: 2 }, {
  op: "write",
  area: "src",
  pages: "all",
  seed: 5,
}];
const map: Step = { op: "mmap", area: "a", pages: 6 };

Deno.test("uffd marks areas, and pages are there once they are placed", () => {
  const steps: Step[] = [...source, map, { op: "uffd", area: "a", pages: "2..5", mode: "missing" }, {
    op: "uffd_place",
    area: "a",
    pages: "3,5",
    from: "src",
  }];
  const prediction = predictSteps(steps);
  const missing = prediction.areas.filter(({ flags }) => (flags & VM.UFFD_MISSING) !== 0n);
  assertEquals(missing.map(({ start, end }) => end - start), [4]);
  assertEquals(pagesIn(prediction, "a"), [3, 5]);
  const contents = [...prediction.pages.values()].slice(2).map(({ content }) => content.base);
  const start = prediction.areas[0]!.start * 4096;
  assertEquals(
    contents,
    [start, start + 4096].map((address) => ({ kind: "fill", seed: 5, address } as const)),
  );
});

Deno.test("uffd is nothing that a child has", () => {
  const steps: Step[] = [map, { op: "uffd", area: "a", pages: "all", mode: "wp" }];
  assertEquals(predictSteps(steps).areas[0]!.flags & VM.UFFD_WP, VM.UFFD_WP);
  assertEquals(predictSteps([...steps, { op: "fork", subject: "child" }]).areas[0]!.flags & VM.UFFD_WP, 0n);
  const wrong = { op: "uffd", area: "a", pages: "all", mode: "major" } as unknown as Step;
  assertThrows(
    () => predictSteps([map, wrong]),
    ScenarioError,
    "$.steps[1].mode: expected one of missing, wp, minor",
  );
});
