// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { X86_64 } from "../../lib/model/testing/compile_steps.ts";
import type { Step } from "../../lib/model/scenario.ts";
import { stepsArbitrary } from "./draw_steps.ts";

const SEED = 2008;

function stopsOf(options: { tracers?: boolean; restarts?: boolean }): Extract<Step, { op: "stop" }>[] {
  const programs = fc.sample(stepsArbitrary({ target: X86_64, swap: false, ...options }), {
    seed: SEED,
    numRuns: 150,
  });
  for (const steps of programs) assertEquals(steps.at(-1)?.op, "stop", JSON.stringify(steps));
  return programs.flat().filter((step) => step.op === "stop");
}

Deno.test("stepsArbitrary() lets tracers at a program only where they are asked for", () => {
  const words = (stops: ReturnType<typeof stopsOf>) => ({
    debug: stops.filter(({ debug }) => debug).length,
    poke: stops.filter(({ poke }) => poke).length,
    stoppedBy: stops.filter(({ stoppedBy = "signal" }) => stoppedBy !== "signal").length,
  });
  assertEquals(words(stopsOf({ tracers: false })), { debug: 0, poke: 0, stoppedBy: 0 });
  const traced = words(stopsOf({ tracers: true }));
  assert(Object.values(traced).every((count) => count > 10), `${SEED}: ${JSON.stringify(traced)}`);
});

Deno.test("stepsArbitrary() restarts a program only where it is asked to, in many ways, with steps behind it", () => {
  const restarts = (stops: ReturnType<typeof stopsOf>) =>
    stops.flatMap(({ restart }) => restart ? [restart] : []);
  assertEquals(restarts(stopsOf({})), []);
  const all = restarts(stopsOf({ restarts: true }));
  const counts = {
    pipe: all.filter(({ from }) => from?.kind === "pipe").length,
    generations: all.filter(({ generations = 1 }) => generations > 1).length,
    vfork: all.filter(({ caller }) => caller?.has?.includes("vfork")).length,
    stopped: all.filter(({ caller }) => caller?.flags === 1).length,
  };
  assert(Object.values(counts).every((count) => count > 10), `${SEED}: ${JSON.stringify(counts)}`);
});

Deno.test("stepsArbitrary() leaves out what the kernel is too old for", () => {
  const advised = (series: "5.10" | "6.1"): boolean =>
    fc.sample(stepsArbitrary({ target: { ...X86_64, series }, swap: false }), { seed: SEED, numRuns: 150 })
      .flat()
      .some((step) => step.op === "madvise" && step.advice.startsWith("populate_"));
  assertEquals([advised("5.10"), advised("6.1")], [false, true]);
});
