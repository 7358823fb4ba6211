// SPDX-License-Identifier: MIT

import { readCatalogue } from "../../run/catalogue.ts";
import type { Command } from "../command.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";

/** `list`: the catalogue. */
export const listCommand: Command = {
  usage: ["list [--json]", "list the scenarios of the catalogue and what each of them shows"],
  options: { json: "the scenarios themselves, as JSON" },
  async run(options) {
    const scenarios = await readCatalogue();
    if (options.flag("json")) {
      console.log(JSON.stringify(scenarios, null, 2));
      return EXIT_STATUS.pass;
    }
    const width = Math.max(...scenarios.map(({ name }) => name.length));
    for (const { name, about } of scenarios) console.log(`${name.padEnd(width)}  ${about}`);
    console.log(`${scenarios.length} scenarios`);
    return EXIT_STATUS.pass;
  },
};
