// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { normalize, printSample, README, SAMPLES, samplesOf } from "../docs/generate_readme.ts";

Deno.test("README.md shows what a run prints (deno task docs:readme writes it anew)", async () => {
  const samples = samplesOf(await Deno.readTextFile(README));
  for (const [index, sample] of SAMPLES.entries()) {
    assertEquals(normalize(samples[index]!), normalize(await printSample(sample)));
  }
});
