// SPDX-License-Identifier: MIT

import { shellJoin } from "./shell_quote.ts";

/**
 * The command line of another start of ckptest, given by its words behind `deno task`, for the user to type: of the
 * program that `./setup --link` made, if the user started that.
 */
export function ownCommand(
  [task, ...args]: readonly [string, ...string[]],
  program: string | undefined = Deno.env.get("CKPTEST_PROGRAM"),
): string {
  if (program === undefined) return shellJoin(["deno", "task", task, ...args]);
  const command = task === "test:qemu" ? ["run"] : task === "ckptest" ? [] : [task];
  return shellJoin([program, ...command, ...args]);
}
