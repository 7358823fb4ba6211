// SPDX-License-Identifier: MIT

import { explainPrediction } from "../../../lib/compare/explain_prediction.ts";
import { compileScenario } from "../../../lib/model/compile_scenario.ts";
import { ScenarioError } from "../../../lib/model/scenario.ts";
import { findScenario } from "../../run/catalogue.ts";
import { EXIT_STATUS, UsageError } from "../../../vm/host/errors.ts";
import { type Command, defineCommand, value, word } from "../options.ts";
import { onePlatformOption } from "../shared_options.ts";
import { compileTargetOf } from "../../run/guest/guest_programs.ts";

/** `predict`: what the model expects of a scenario's images, and why; no guest is booted. */
export const predictCommand: Command = defineCommand({
  name: word("SCENARIO", "a name of the catalogue, or a scenario file"),
  arch: value("NAME", "x86_64 by default; i386, i386-pae or compat; @5.10 or @6.12 behind it"),
}, {
  about: "print the image that the model expects of a scenario and, for each page and field, why",
  async run({ name, arch }, { terminal }) {
    const platform = onePlatformOption(arch);
    const scenario = await findScenario(name);
    if (!scenario.steps) {
      throw new UsageError(`${name} has no steps: it is judged by observation alone`);
    }
    try {
      const compiled = compileScenario(scenario, await compileTargetOf(platform));
      terminal.result(`${scenario.name} on ${platform.name}: ${scenario.about}`);
      for (const stop of compiled.stops) {
        for (const line of explainPrediction(stop, { arch: platform.kernel, series: platform.series })) {
          terminal.result(line);
        }
      }
    } catch (error) {
      if (error instanceof ScenarioError) throw new UsageError(error.message);
      throw error;
    }
    return EXIT_STATUS.pass;
  },
});
