// SPDX-License-Identifier: MIT
import { assert } from "@std/assert";
import { compileSteps } from "../model/testing/compile_steps.ts";
import { explainPrediction } from "./explain_prediction.ts";

Deno.test("explainPrediction() explains more pages than a call can have arguments", () => {
  const { stops } = compileSteps([
    { op: "mmap", area: "a", pages: 200_000 },
    { op: "write", area: "a", pages: "0-199999" },
  ]);
  const lines = explainPrediction(stops[0]!, { arch: "x86_64", series: "6.1" });
  assert(lines.length > 200_000, `${lines.length} lines`);
});
