// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { X86_64 } from "../../lib/model/testing/compile_steps.ts";
import type { Step } from "../../lib/model/scenario.ts";
import { stepsArbitrary } from "./draw_steps.ts";

const SEED = 2008;

function programsOf(options: Partial<Parameters<typeof stepsArbitrary>[0]> = {}): Step[][] {
  return fc.sample(stepsArbitrary({ target: X86_64, swap: false, ...options }), { seed: SEED, numRuns: 150 });
}

const PLAIN = programsOf();

function stopsOf(programs: Step[][]): Extract<Step, { op: "stop" }>[] {
  for (const steps of programs) assertEquals(steps.at(-1)?.op, "stop", JSON.stringify(steps));
  return programs.flat().filter((step) => step.op === "stop");
}

Deno.test("stepsArbitrary() lets tracers at a program only where they are asked for", () => {
  const words = (stops: ReturnType<typeof stopsOf>) => ({
    debug: stops.filter(({ debug }) => debug).length,
    poke: stops.filter(({ poke }) => poke).length,
    stoppedBy: stops.filter(({ stoppedBy = "signal" }) => stoppedBy !== "signal").length,
  });
  assertEquals(words(stopsOf(PLAIN)), { debug: 0, poke: 0, stoppedBy: 0 });
  const traced = words(stopsOf(programsOf({ tracers: true })));
  assert(Object.values(traced).every((count) => count > 10), `${SEED}: ${JSON.stringify(traced)}`);
});

Deno.test("stepsArbitrary() restarts a program only where it is asked to, in many ways, with steps behind it", () => {
  const restarts = (stops: ReturnType<typeof stopsOf>) =>
    stops.flatMap(({ restart }) => restart ? [restart] : []);
  assertEquals(restarts(stopsOf(PLAIN)), []);
  const all = restarts(stopsOf(programsOf({ restarts: true })));
  const counts = {
    pipe: all.filter(({ from }) => from?.kind === "pipe").length,
    generations: all.filter(({ generations = 1 }) => generations > 1).length,
    vfork: all.filter(({ caller }) => caller?.has?.includes("vfork")).length,
    stopped: all.filter(({ caller }) => caller?.flags === 1).length,
  };
  assert(Object.values(counts).every((count) => count > 10), `${SEED}: ${JSON.stringify(counts)}`);
});

Deno.test("stepsArbitrary() leaves out what the kernel is too old for", () => {
  const advised = (programs: Step[][]): boolean =>
    programs.flat().some((step) => step.op === "madvise" && step.advice.startsWith("populate_"));
  const old = programsOf({ target: { ...X86_64, series: "5.10" } });
  assertEquals([advised(old), advised(PLAIN)], [false, true]);
});
