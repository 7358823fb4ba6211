// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { explainPrediction } from "./explain_prediction.ts";
import { compileSteps } from "../model/testing/compile_steps.ts";

// Quadratic in the areas it took minutes; as many as vm.max_map_count allows are seconds.
Deno.test("65,000 areas are mapped, changed, locked, forked and told of", () => {
  const compiled = compileSteps([
    { op: "mmap", area: "a", pages: 130_000 },
    { op: "write", area: "a", pages: "0..129999/64" },
    { op: "mprotect", area: "a", pages: "0..129999/2", prot: "r" },
    { op: "mlock", area: "a", pages: "1..2000/2" },
    { op: "fork", subject: "child" },
    { op: "munmap", area: "a", pages: "0..10000/2" },
    { op: "stop", label: "stopped" },
  ]);
  const [stop] = compiled.stops;
  const { areas } = stop!.prediction;
  assertEquals(areas.length, 130_000 - 5001);
  const lines = explainPrediction(stop!, { arch: "x86_64", series: "6.1" });
  assertEquals(lines.filter((line) => line.startsWith("VMA 0x")).length, areas.length);
});
