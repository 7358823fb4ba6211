// SPDX-License-Identifier: MIT

import { readCatalogue } from "../../run/catalogue.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { type Command, defineCommand, flag } from "../options.ts";

/** `list`: the catalogue. */
export const listCommand: Command = defineCommand({ json: flag("the scenarios themselves, as JSON") }, {
  about: "list the scenarios of the catalogue and what each of them shows",
  async run({ json }, { terminal }) {
    const scenarios = await readCatalogue();
    if (json) {
      terminal.result(JSON.stringify(scenarios, null, 2));
      return EXIT_STATUS.pass;
    }
    const width = Math.max(...scenarios.map(({ name }) => name.length));
    for (const { name, about } of scenarios) terminal.result(`${name.padEnd(width)}  ${about}`);
    terminal.result(`${scenarios.length} scenarios`);
    return EXIT_STATUS.pass;
  },
});
