// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { fillPage } from "../state/page_content.ts";
import { ScenarioError, type Step } from "../scenario.ts";
import { compileSteps, expectedOf, I386, predictSteps, X86_64 } from "../testing/compile_steps.ts";

function entry(entries: string, more: Partial<Extract<Step, { op: "modify_ldt" }>> = {}): Step {
  return {
    op: "modify_ldt",
    entries,
    limit: "0xff",
    flags: ["32bit"],
    ...more,
  };
}

function load(
  selector: string | number,
  more: Partial<Extract<Step, { op: "load_segment" }>> = {},
): Step {
  return { op: "load_segment", register: "fs", selector, ...more };
}

Deno.test("selector predicts LAR and LSL, and that neither sees what is not there", () => {
  const compiled = compileSteps([
    entry("1", { base: "0x1000" }),
    ...[0, 1, 2].map((index): Step => ({
      op: "selector",
      selector: `ldt:${index}`,
    })),
  ]);
  assertEquals(expectedOf(compiled, "lar"), [-1n, 0x40f300n, -1n]);
  assertEquals(expectedOf(compiled, "lsl"), [-1n, 0xffn, -1n]);
});

Deno.test("modify_ldt varies flags from entry to entry, and selector takes ranges", () => {
  const vary: Step = { op: "modify_ldt", entries: "4..7", limit: 1, vary: ["32bit", "pages"] };
  const compiled = compileSteps([vary, { op: "selector", selector: "ldt:4..7" }]);
  assertEquals(expectedOf(compiled, "lar"), [0xf300n, 0x40f300n, 0x80f300n, 0xc0f300n]);
  assertEquals(expectedOf(compiled, "lsl"), [1n, 1n, 0x1fffn, 0x1fffn]);
});

Deno.test("load_segment predicts faults and what stays loaded", () => {
  const compiled = compileSteps([
    entry("0", { flags: ["32bit", "not_present"] }),
    entry("1"),
    load("ldt:0"),
    load("ldt:1"),
    load("ldt:9"),
    load(0),
    load("ldt:1", { register: "gs" }),
  ]);
  assertEquals(expectedOf(compiled, "into"), [-7n, 0n, -11n, 0n, 0n]);
  const { general } = compiled.stops[0]!.prediction.registers;
  assertEquals([general.get("fs"), general.get("gs")], [0n, 15n]);
  assertThrows(() => predictSteps([load(0x33)]), ScenarioError, "no entry that the model knows");
  assertThrows(
    () => predictSteps([load("idt:1")]),
    ScenarioError,
    "$.steps[0].selector: expected a selector",
  );
});

Deno.test("load_segment predicts the byte that is read through a segment", () => {
  const low: Step = { op: "mmap", area: "low", pages: 2, flags: ["low"] };
  const write: Step = { op: "write", area: "low", pages: "all", seed: 3 };
  const steps = (
    read: string,
  ): Step[] => [low, write, entry("0", { base: "area:low" }), load("ldt:0", { read })];
  for (const target of [X86_64, I386]) {
    const start = predictSteps([low], { target }).areas[0]!.start * 4096;
    assertEquals(start < 2 ** 32, true);
    const [within] = expectedOf(compileSteps(steps("0x41"), { target }), "into");
    assertEquals(within, BigInt(fillPage(3, start)[0x41]!));
    const beyond = compileSteps(steps("0x100"), { target }).results.find(({ what }) => what.includes("into"));
    const byte = BigInt(fillPage(3, start)[0x100]!);
    // Emulation ignores the limit that a processor heeds in a 32-bit program.
    assertEquals([beyond?.expected, beyond?.orElse], target === I386 ? [-11n, byte] : [byte, byte]);
  }
});
