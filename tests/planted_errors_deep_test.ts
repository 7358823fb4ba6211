// SPDX-License-Identifier: MIT

import { assert } from "@std/assert";
import { readPlantedErrors } from "../harness/planted_errors.ts";
import { expectedFinding, plantedPlaces, runPlanted } from "./run_planted.ts";

for (const planted of (await readPlantedErrors()).filter(({ platform }) => platform?.endsWith("-debug"))) {
  Deno.test(`the debug kernel gives away ${planted.name}, by title and line`, async () => {
    const run = await runPlanted(planted);
    const { findings, places } = run;
    const found = expectedFinding(planted, run);
    assert(found, `a finding ${JSON.stringify(planted.finding)} among ${JSON.stringify(findings, null, 2)}`);
    const files = new Set(planted.edits.map(({ file }) => file));
    // A page that is not given back is told by where it was taken.
    const lines = planted.finding.id === "E_PAGE_LEAK"
      ? places.filter((place) => files.has(place.split(":")[0]!))
      : places.filter(((own) => (place: string) => own.has(place))(await plantedPlaces(planted)));
    assert(lines.length > 0, `a line of the planted error among ${[...new Set(places)].join(", ")}`);
    console.log(`${planted.name}: ${found.actual ?? ""} ${found.path} (${[...new Set(lines)].join(", ")})`);
  });
}
