// SPDX-License-Identifier: MIT

import type { ExitStatus } from "../../vm/host/errors.ts";
import type { CommandReport } from "../run/command_outcome.ts";
import type { ArgumentSpecs, ParsedOptions } from "./parse_options.ts";

/** One command: its usage lines, what it takes, and what it does. */
export interface Command extends ArgumentSpecs {
  /** Synopsis and one line on what it does. */
  readonly usage: readonly [synopsis: string, purpose: string];
  run(options: ParsedOptions): Promise<ExitStatus | CommandReport>;
}
