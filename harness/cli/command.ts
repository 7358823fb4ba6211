// SPDX-License-Identifier: MIT

import type { ExitStatus } from "../../vm/host/errors.ts";

/** One command: its usage lines, and what it does with its arguments. */
export interface Command {
  /** Synopsis and one line on what it does. */
  readonly usage: readonly [synopsis: string, purpose: string];
  /** One line for each option. */
  readonly options?: readonly string[];
  run(args: string[]): Promise<ExitStatus>;
}
