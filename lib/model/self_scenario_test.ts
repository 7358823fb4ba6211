// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import type { Scenario } from "./scenario.ts";
import { selfScenario, selfSkipReason } from "./self_scenario.ts";

const PLAIN: Scenario = {
  name: "x",
  about: "",
  steps: [{ op: "brk", area: "a", pages: 1 }, { op: "stop", label: "one", expect: "ENOSYS" }, {
    op: "self",
    label: "two",
    zero: 1,
  }],
};

Deno.test("selfScenario() makes every stop a checkpoint by the target itself", () => {
  assertEquals(selfSkipReason(PLAIN), undefined);
  assertEquals(selfScenario(PLAIN).steps, [
    { op: "brk", area: "a", pages: 1 },
    { op: "self", label: "one", expect: "ENOSYS" },
    { op: "self", label: "two", zero: 1 },
  ]);
});

Deno.test("selfSkipReason() names what only another task can do", () => {
  const reason = (more: Partial<Scenario>) => selfSkipReason({ name: "x", about: "", ...more });
  assertEquals(
    reason({ steps: [{ op: "stop", label: "one", hold: "traced" }] }),
    'needs a task that is checkpointed by another one (--self): its stop says "hold"',
  );
  assertEquals(
    reason({ ...PLAIN, setup: [{ swap: "ram" }] })?.endsWith("swapped pages before the call"),
    true,
  );
  const registers = [{ op: "registers", values: { xmm0: "1" } }] as const;
  assertEquals(reason({ steps: registers })?.endsWith("it chooses the registers of the stop"), true);
  assertEquals(reason({ ...PLAIN, judge: "gcore" })?.endsWith("gdb is to dump it, too"), true);
  assertEquals(reason({ program: { argv: ["/bin/sh"] } })?.endsWith("it is a program of the system"), true);
});
