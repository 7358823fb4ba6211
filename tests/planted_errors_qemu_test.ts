// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { filterScenarios, readCatalogue } from "../harness/catalogue.ts";
import { readPlantedErrors } from "../harness/planted_errors.ts";
import { runFuzz } from "../harness/fuzz/run_fuzz.ts";
import { PLATFORMS } from "../harness/platform.ts";
import { prepareGuest } from "../harness/prepare_guest.ts";
import { runCatalogue } from "../harness/run_catalogue.ts";
import { scenarioRunner } from "../harness/scenario_runner.ts";
import { Terminal } from "../harness/terminal.ts";

for (const planted of await readPlantedErrors()) {
  Deno.test(`the suite gives away a kernel with ${planted.name}`, async () => {
    const scenarios = filterScenarios(await readCatalogue(), [planted.scenario])
      .filter(({ name }) => name === planted.scenario);
    assertEquals(scenarios.length, 1, `fixtures/scenarios holds ${planted.scenario}`);
    const prepared = await prepareGuest(PLATFORMS[0]!, { terminal: new Terminal(), mutate: planted.edits });
    const [result] = await runCatalogue(scenarios, {
      startGuest: prepared.startGuest,
      runScenario: scenarioRunner(prepared),
      skipReason: prepared.skipReason,
    });
    assertEquals([result?.status, result?.reproduced], ["fail", true]);
    const findings = [
      ...result?.outcome?.findings ?? [],
      ...result?.outcome?.stops.flatMap((stop) => stop.findings) ?? [],
    ];
    const { id, path } = planted.finding;
    assert(
      findings.some((finding) => finding.id === id && finding.path.includes(path)),
      `a finding ${id} at ${path} among ${JSON.stringify(findings.slice(0, 5), null, 2)}`,
    );
  });
}

const FUZZ_SEED = 1;
const FUZZ_PROGRAMS = 1000;
const MOST_STEPS = 5;

for (const planted of (await readPlantedErrors()).filter(({ fuzz }) => fuzz)) {
  Deno.test(`random programs find ${planted.name} and are made small`, async () => {
    const prepared = await prepareGuest(PLATFORMS[0]!, { terminal: new Terminal(), mutate: planted.edits });
    const { failure, programs } = await runFuzz(prepared, { seed: FUZZ_SEED, count: FUZZ_PROGRAMS });
    const steps = failure?.scenario.steps?.filter(({ op }) => op !== "stop") ?? [];
    assert(failure, `one of ${FUZZ_PROGRAMS} programs of seed ${FUZZ_SEED} sees it`);
    assert(
      steps.length <= MOST_STEPS,
      `at most ${MOST_STEPS} steps in ${JSON.stringify(failure.scenario.steps, null, 2)}`,
    );
    console.log(`${planted.name}: program ${programs}, ${steps.map(({ op }) => op).join(", ")}`);
  });
}
