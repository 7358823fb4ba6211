// SPDX-License-Identifier: MIT

import { shellJoin } from "./shell_quote.ts";

let isProgram = false;

/** Says that the user started the program `ckptest`, and no task of the project. */
export function startedAsProgram(): void {
  isProgram = true;
}

/** The command line of another start of ckptest, given by its words behind `deno task`, for the user to type. */
export function ownCommand([task, ...args]: readonly [string, ...string[]]): string {
  if (!isProgram) return shellJoin(["deno", "task", task, ...args]);
  if (task === "ckptest") return shellJoin([task, ...args]);
  return shellJoin(["ckptest", task === "test:qemu" ? "run" : task, ...args]);
}
