// SPDX-License-Identifier: MIT
import { assertEquals, assertThrows } from "@std/assert";
import { type Scenario, ScenarioError, selfScenario, selfSkipReason, type Step } from "./scenario.ts";
import { compileSteps } from "./testing/compile_steps.ts";

const PLAIN: Scenario = {
  name: "x",
  about: "",
  steps: [{ op: "brk", area: "a", pages: 1 }, { op: "stop", label: "one", expect: "ENOSYS" }, {
    op: "stop",
    label: "two",
    call: { pid: 0 },
  }],
};

Deno.test("selfScenario() makes every stop a checkpoint by the target itself", () => {
  assertEquals(selfSkipReason(PLAIN), undefined);
  assertEquals(selfScenario(PLAIN).steps, [
    { op: "brk", area: "a", pages: 1 },
    { op: "stop", label: "one", expect: "ENOSYS", call: { pid: "self" } },
    { op: "stop", label: "two", call: { pid: 0 } },
  ]);
});

Deno.test("selfSkipReason() names what only another task can do", () => {
  const reason = (more: Partial<Scenario>) => selfSkipReason({ name: "x", about: "", ...more });
  assertEquals(
    reason({ steps: [{ op: "stop", label: "one", stoppedBy: "seize" }] }),
    'needs a task that is checkpointed by another one (--self): its stop says "stoppedBy"',
  );
  assertEquals(
    reason({ ...PLAIN, setup: [{ swap: "ram" }] })?.endsWith("swapped pages before the call"),
    true,
  );
  const registers = [{ op: "registers", values: { xmm0: "1" } }] as const;
  assertEquals(reason({ steps: registers })?.endsWith("it chooses the registers of the stop"), true);
  assertEquals(reason({ ...PLAIN, judge: "gcore" })?.endsWith("gdb is to dump it, too"), true);
  const race = { meanwhile: "stopped", times: 1, expect: ["ok"] } as const;
  assertEquals(reason({ race })?.endsWith("others race with the call"), true);
  assertEquals(reason({ program: { argv: ["/bin/sh"] } })?.endsWith("it is a program of the system"), true);
});

Deno.test("a target that calls for itself passes flags and a closed descriptor, and nothing else", () => {
  const refused = (words: Record<string, unknown>) => {
    const step = { op: "stop", label: "one", ...words } as unknown as Step;
    const { stops, results } = compileSteps([step]);
    const { expected, what } = results.find(({ role }) => role === "checkpoint")!;
    return [what, expected, stops[0]!.prediction.refusal?.name, stops[0]!.call];
  };
  assertEquals(refused({ call: { pid: "self" } }), [
    "checkpoint(self, 6, 0)",
    undefined,
    undefined,
    undefined,
  ]);
  const flags = { call: { pid: 0, flags: 5 }, to: { kind: "none" }, expect: "EINVAL" };
  assertEquals(refused(flags), ["checkpoint(self, 99, 5)", -22n, "EINVAL", undefined]);
  const closed = { call: { pid: "self" }, to: { kind: "none" }, expect: "EBADF" };
  assertEquals(refused(closed), ["checkpoint(self, 99, 0)", -9n, "EBADF", undefined]);
  for (
    const [words, word] of [
      [{ call: { pid: "self", uid: 5 } }, "uid"],
      [{ call: { pid: 0 }, stoppedBy: "seize" }, "stoppedBy"],
      [{ call: { pid: 0 }, to: { kind: "epoll" } }, "to"],
    ] as const
  ) {
    assertThrows(() => refused(words), ScenarioError, `found "${word}"`);
  }
});
