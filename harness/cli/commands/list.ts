// SPDX-License-Identifier: MIT

import { readCatalogue } from "../../run/catalogue.ts";
import { EXIT_STATUS } from "../../../vm/host/errors.ts";
import { type Command, defineCommand, flag } from "../options.ts";

/** `list`: the catalogue. */
export const listCommand: Command = defineCommand({ json: flag("the scenarios themselves, as JSON") }, {
  about: "list the scenarios of the catalogue and what each of them shows",
  async run({ json }, { terminal }) {
    const scenarios = await readCatalogue();
    const width = Math.max(...scenarios.map(({ name }) => name.length));
    const lines = scenarios.map(({ name, about }) => `${name.padEnd(width)}  ${about}`);
    const text = [...lines, `${scenarios.length} scenarios`].join("\n");
    terminal.result(json ? JSON.stringify(scenarios, null, 2) : text);
    return EXIT_STATUS.pass;
  },
});
