// SPDX-License-Identifier: MIT

import { assert } from "@std/assert";
import { readMutants } from "../../harness/mutants.ts";
import { expectedFinding, placesToName, runPlanted } from "../guest/run_mutant.ts";

/** Errors that plain kernels do not give away: they need one with KASAN and the like, or one in which things break. */
const PLANTED = (await readMutants()).filter(({ platform }) => platform?.includes("-"));

for (const planted of PLANTED) {
  Deno.test(`${planted.platform} gives away ${planted.name}, and the line where there is one to tell`, async () => {
    const run = await runPlanted(planted);
    const { findings, places } = run;
    const found = expectedFinding(planted, run);
    assert(found, `a finding ${JSON.stringify(planted.finding)} among ${JSON.stringify(findings, null, 2)}`);
    const wanted = await placesToName(planted);
    const lines = wanted.filter((place) => places.includes(place));
    assert(
      !planted.at || lines.length > 0,
      `${wanted.join(" or ")} among ${[...new Set(places)].join(", ")}`,
    );
    console.log(`${planted.name}: ${found.actual ?? ""} ${found.path} (${lines.join(", ")})`);
  });
}
