// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { runCommandLine } from "./command_line.ts";

/** `deno task` starts us in the project's directory and keeps the user's in INIT_CWD: paths begin at the user's. */
function enterUserDirectory(): void {
  const directory = Deno.env.get("INIT_CWD");
  const project = Deno.realPathSync(join(import.meta.dirname ?? ".", "..", ".."));
  if (directory !== undefined && Deno.cwd() === project) Deno.chdir(directory);
}

if (import.meta.main) {
  enterUserDirectory();
  Deno.exit(await runCommandLine(Deno.args));
}
