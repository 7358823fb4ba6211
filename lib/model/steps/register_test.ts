// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { ScenarioError, type Step } from "../scenario.ts";
import { compileSteps, I386, predictSteps } from "../testing/compile_steps.ts";

function registers(values: Record<string, string>): Step {
  return { op: "registers", values };
}

Deno.test("registers predicts registers, flags and what the call that stops leaves", () => {
  const { general } = predictSteps([registers({ r8: "0x1234", flags: "0x1" })]).registers;
  assertEquals([general.get("r8"), general.get("flags"), general.get("r9")], [0x1234n, 0x203n, undefined]);
  assertEquals([general.get("ax"), general.get("orig_ax"), general.get("si")], [0n, 62n, 19n]);
  const small = predictSteps([registers({ si: "0x5" })], { target: I386 }).registers.general;
  assertEquals([small.get("si"), small.get("orig_ax"), small.get("cx")], [5n, 37n, 19n]);
});

Deno.test("registers lays out FPU, SSE and AVX state", () => {
  const parts = (values: Record<string, string>) =>
    new Map(predictSteps([registers(values)]).registers.xstate.map((part) => [part.name, part]));
  const sse = parts({ xmm3: "0x0102", mxcsr: "0x7f80" });
  assertEquals([sse.get("xmm3")?.offset, [...sse.get("xmm3")!.bytes.subarray(0, 3)]], [160 + 48, [2, 1, 0]]);
  assertEquals([...sse.get("mxcsr")!.bytes], [0x80, 0x7f, 0, 0]);
  assertEquals([...sse.get("ftw")!.bytes], [0]);
  assertEquals([...parts({ st0: "0x1", st7: "0x2" }).get("ftw")!.bytes], [0x81]);
  const avx = parts({ ymm1: `0x${"ab".repeat(16)}${"cd".repeat(16)}` });
  assertEquals([avx.get("ymm1")?.offset, avx.get("ymm1")?.bytes[0]], [176, 0xcd]);
  assertEquals([avx.get("ymm1, upper half")?.offset, avx.get("ymm1, upper half")?.bytes[15]], [592, 0xab]);
});

Deno.test("registers is for one stop, and puts the block into the scratch memory", () => {
  const stop = (label: string): Step => ({ op: "stop", label });
  const compiled = compileSteps([registers({ r8: "1", fs: "ldt:2" }), stop("first"), stop("second")]);
  const stops = compiled.ops.filter((op) => op.op === "stop");
  assertEquals(stops.map((op) => op.op === "stop" && op.registers), [0x10000, undefined]);
  const block = compiled.ops.find((op) => op.op === "data" && op.offset === 0x10000);
  assertEquals(block?.op === "data" && new DataView(block.bytes.buffer).getBigUint64(72, true), 1n);
  // A selector stays loaded.
  const [, second] = compiled.stops;
  assertEquals([...second!.prediction.registers.general], [["fs", 23n]]);
});

Deno.test("registers with cs: the target makes the call of 32-bit code in a segment of its LDT", () => {
  const entry = (change: object = {}): Step => ({
    ...{ op: "modify_ldt", entries: 3, limit: "0xfffff", contents: "code", flags: ["32bit", "pages"] },
    ...change,
  });
  for (const target of [undefined, I386]) {
    const { general } = predictSteps([entry(), registers({ cs: "ldt:3" })], target && { target }).registers;
    assertEquals([general.get("cs"), general.get("orig_ax"), general.get("cx")], [31n, 37n, 19n]);
  }
  const changes = [{ contents: "data" }, { base: 1 }, { flags: ["pages"] }, { flags: ["32bit"] }, {
    flags: ["32bit", "pages", "not_present"],
  }];
  for (const change of changes) {
    assertThrows(
      () => predictSteps([entry(change), registers({ cs: "ldt:3" })]),
      ScenarioError,
      "cs: expected",
    );
  }
  // 64-bit code loads them, which the segment is not of.
  assertThrows(
    () => predictSteps([entry(), registers({ cs: "ldt:3", r8: "1" })]),
    ScenarioError,
    "No register r8",
  );
  // After it the target is in its own code again.
  const stop = (label: string): Step => ({ op: "stop", label });
  const { stops } = compileSteps([entry(), registers({ cs: "ldt:3" }), stop("far"), stop("near")]);
  assertEquals(stops.map(({ prediction }) => prediction.registers.general.get("cs")), [31n, undefined]);
});

Deno.test("registers refuses what cannot be kept or does not fit", () => {
  assertThrows(
    () => predictSteps([registers({ cx: "1" })]),
    ScenarioError,
    "$.steps[0].values.cx: expected one of r15",
  );
  assertThrows(() => predictSteps([registers({ flags: "0x100" })]), ScenarioError, "flags");
  assertThrows(() => predictSteps([registers({ mxcsr: "0x100000000" })]), ScenarioError, "32 bits");
  assertThrows(
    () => predictSteps([registers({ r8: "1" })], { target: I386 }),
    ScenarioError,
    "No register r8",
  );
});

Deno.test("registers with selectors are not yet loaded when the target saves itself", () => {
  const self: Step = { op: "stop", label: "self", call: { pid: "self" } };
  const ldt: Step = { op: "modify_ldt", entries: 2, base: 0x1000, limit: 9, flags: ["32bit"] };
  const compiled = compileSteps(
    [ldt, registers({ fs: "ldt:2" }), self, registers({ gs: "0x3" }), { ...self, label: "again" }],
  );
  const shown = compiled.stops.map(({ prediction: { registers: { general, bases } } }) => ({
    general: [...general],
    bases: [...bases ?? []],
  }));
  assertEquals(shown, [
    { general: [["fs", 0n]], bases: [["fsbase", 0n]] },
    { general: [["gs", 0n], ["fs", 23n]], bases: [["gsbase", 0n]] },
  ]);
});
