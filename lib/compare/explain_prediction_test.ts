// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import type { Step } from "../model/scenario.ts";
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

Deno.test("explainPrediction() says how a described call ends, and nothing of a busy target's image", () => {
  const explained = (stop: Record<string, unknown>) => {
    const area: Step[] = [{ op: "mmap", area: "a", pages: 4 }, { op: "write", area: "a", pages: "all" }];
    const { stops } = compileSteps([...area, { op: "stop", label: "s", ...stop } as Step]);
    return explainPrediction(stops[0]!, { arch: "x86_64", series: "6.1" });
  };
  const busy = explained({ busy: "running", expect: "EBUSY" });
  assertEquals(busy, [
    `stop "s"`,
    "  the target is busy: running",
    "  the call that the stop describes returns EBUSY before a byte is written: " +
    "the target is neither stopped nor frozen: running",
  ]);
  const pipe = explained({ to: { kind: "pipe", readerClosesAfter: 1 }, expect: "EPIPE", stoppedBy: "seize" });
  assertEquals(pipe.slice(1, 3), [
    "  the target is stopped by: seize",
    "  the call that the stop describes returns EPIPE and leaves a beginning of the image: nobody reads",
  ]);
  assertEquals(pipe[3], "HEAD");
  const whole = explained({ call: { uid: 0 } })[1];
  assertEquals(
    whole,
    "  the call that the stop describes returns ok and leaves the image of the target before what happens meanwhile",
  );
});
