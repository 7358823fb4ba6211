// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { vmFlagTable } from "../abi/vm_flags.ts";
import { restartedPrediction, restartRefusal } from "./restarted_prediction.ts";
import type { Step } from "./scenario.ts";
import { compileSteps } from "./testing/compile_steps.ts";

const FLAGS = vmFlagTable("6.1", 8);
const ENTRY: Step = {
  op: "modify_ldt",
  entries: "0",
  base: "0x7000",
  limit: "0xfffff",
  flags: ["32bit", "useable"],
};

function refusalAt(selector: string): string | undefined {
  const stop = { op: "stop", label: "stopped", stoppedBy: "seize", set: { fs: selector } } as Step;
  return restartRefusal(compileSteps([ENTRY, stop]).stops[0]!.prediction, FLAGS)?.name;
}

Deno.test("a selector that only a tracer can set is refused, one with a descriptor is not", () => {
  assertEquals(["0x4f", "0xf", "0x7", "0x0"].map(refusalAt), ["EINVAL", "EINVAL", undefined, undefined]);
});

Deno.test("memory with a protection key is refused", () => {
  const refusalOf = (step: Step) => {
    const steps: Step[] = [{ op: "mmap", area: "a", pages: 1, prot: "rw" }, step];
    return restartRefusal(compileSteps(steps).stops[0]!.prediction, FLAGS)?.name;
  };
  const plain = refusalOf({ op: "mprotect", area: "a", pages: "all", prot: "r" });
  const keyed = refusalOf({ op: "pkey_protect", area: "a", pages: "all", prot: "r" });
  assertEquals([plain, keyed], [undefined, "EOPNOTSUPP"]);
});

Deno.test("a restarted target has no breakpoints, and is stopped by a signal", () => {
  const debug = [{ register: "dr1", value: "0x1000" }];
  const steps = [{ op: "stop", label: "stopped", stoppedBy: "seize", debug } as Step];
  const { prediction } = compileSteps(steps).stops[0]!;
  const restarted = restartedPrediction(prediction, 8);
  assertEquals([prediction.debug[1], prediction.taskState], [0x1000n, 8]);
  assertEquals([restarted.debug[1], restarted.taskState], [0n, 0x104]);
});
