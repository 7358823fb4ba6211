// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { runFuzz } from "../../harness/fuzz/run_fuzz.ts";
import { type Mutant, readMutants } from "../../harness/mutants/mutant.ts";
import { MUTANT_PARAMETER } from "../../harness/mutants/mutant_kernel.ts";
import { MutantRunner } from "../../harness/mutants/run_mutants.ts";
import { prepareMutants, survivorsOn } from "../run_mutants.ts";

Deno.test("the scenarios kill every mutant for x86_64, i386 and compat", async () => {
  assertEquals(await survivorsOn(["x86_64", "i386", "compat"]), []);
});

Deno.test("the scenarios kill every mutant for processors that have less", async () => {
  assertEquals(await survivorsOn(["x86_64-nofsgsbase", "x86_64-noxsave", "i386-nofxsr"]), []);
});

Deno.test("an argument that is false is found among those that are true", async () => {
  const all = await readMutants();
  const said = all.filter(({ name }) =>
    ["exit_state_lost", "last_page_skipped", "uts_of_the_first"].includes(name)
  ).map((mutant): Mutant => ({ ...mutant, equivalent: "Nobody sees it." }));
  const run = await prepareMutants("x86_64", said);
  const catalogue = run.catalogue.filter(({ name }) => ["anon_dirty", "minimal"].includes(name));
  const runner = new MutantRunner({ ...run, catalogue, onProgress() {} });
  const verdicts: string[] = [];
  await runner.runAll(said, {
    jobs: 2,
    onResult: ({ mutant, verdict, by }) => verdicts.push(`${mutant.name} ${verdict} by ${by}`),
  });
  assertEquals(verdicts, [
    "exit_state_lost equivalent by anon_dirty",
    "last_page_skipped missed by anon_dirty",
    "uts_of_the_first equivalent by anon_dirty",
  ]);
});

const FUZZ_SEED = 1;
const FUZZ_PROGRAMS = 1000;
const MAX_STEPS = 5;

for (const mutant of (await readMutants()).filter(({ fuzz }) => fuzz)) {
  Deno.test(`random programs find ${mutant.name} and are made small`, async () => {
    const { prepared, mutants } = await prepareMutants("x86_64");
    const number = mutants.findIndex(({ name }) => name === mutant.name) + 1;
    const draw = { seed: FUZZ_SEED, count: FUZZ_PROGRAMS };
    const startGuest = () => prepared.startGuest([`${MUTANT_PARAMETER}=${number}`]);
    const { failure, programs } = await runFuzz({ ...prepared, startGuest }, draw);
    const steps = failure?.scenario.steps?.filter(({ op }) => op !== "stop") ?? [];
    assert(failure, `one of ${FUZZ_PROGRAMS} programs of seed ${FUZZ_SEED} sees it`);
    assert(
      steps.length <= MAX_STEPS,
      `at most ${MAX_STEPS} steps in ${JSON.stringify(failure.scenario.steps, null, 2)}`,
    );
    console.log(`${mutant.name}: program ${programs}, ${steps.map(({ op }) => op).join(", ")}`);
  });
}
