// SPDX-License-Identifier: MIT

import { assert } from "@std/assert";
import { runFuzz } from "../../harness/fuzz/run_fuzz.ts";
import { readMutants } from "../../harness/mutants.ts";
import { PLATFORMS } from "../../harness/run/platform.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { expectedFinding, runPlanted } from "./run_mutant.ts";

/** Errors that plain kernels give away; debug kernels have a suite of their own. */
const PLANTED = (await readMutants()).filter(({ platform }) => !platform?.includes("-"));

for (const planted of PLANTED) {
  Deno.test(`the suite gives away a kernel with ${planted.name}`, async () => {
    const run = await runPlanted(planted);
    const { results, findings } = run;
    assert(results.some(({ status }) => status !== "pass"), "the scenario fails");
    assert(
      results.some(({ status, reruns }) => status !== "pass" && reruns?.failed !== 0),
      "and fails again alone in a fresh guest",
    );
    assert(
      expectedFinding(planted, run),
      `a finding ${planted.finding.id} at ${planted.finding.path} among ` +
        JSON.stringify(findings.slice(0, 5), null, 2),
    );
  });
}

const FUZZ_SEED = 1;
const FUZZ_PROGRAMS = 1000;
const MAX_STEPS = 5;

for (const planted of PLANTED.filter(({ fuzz }) => fuzz)) {
  Deno.test(`random programs find ${planted.name} and are made small`, async () => {
    const prepared = await prepareGuest(PLATFORMS[0]!, {
      terminal: new Terminal(),
      mutations: planted.edits,
    });
    const { failure, programs } = await runFuzz(prepared, { seed: FUZZ_SEED, count: FUZZ_PROGRAMS });
    const steps = failure?.scenario.steps?.filter(({ op }) => op !== "stop") ?? [];
    assert(failure, `one of ${FUZZ_PROGRAMS} programs of seed ${FUZZ_SEED} sees it`);
    assert(
      steps.length <= MAX_STEPS,
      `at most ${MAX_STEPS} steps in ${JSON.stringify(failure.scenario.steps, null, 2)}`,
    );
    console.log(`${planted.name}: program ${programs}, ${steps.map(({ op }) => op).join(", ")}`);
  });
}
