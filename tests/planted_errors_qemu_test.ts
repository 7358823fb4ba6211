// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { filterScenarios, readCatalogue } from "../harness/catalogue.ts";
import { readPlantedErrors } from "../harness/planted_errors.ts";
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
