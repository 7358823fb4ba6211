// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { endWithError, runCommandLine } from "./command_line.ts";

if (import.meta.main) {
  for (const type of ["error", "unhandledrejection"] as const) {
    // Thrown where nobody waits for it: in a timer or a promise that was let go.
    addEventListener(type, async (event) => {
      event.preventDefault();
      Deno.exit(await endWithError(event instanceof ErrorEvent ? event.error : event.reason, Deno.args));
    });
  }
  // `deno task` starts us in the project's directory and keeps the user's in INIT_CWD: paths begin at the user's.
  const directory = Deno.env.get("INIT_CWD");
  const project = Deno.realPathSync(join(import.meta.dirname ?? ".", "..", ".."));
  if (directory !== undefined && Deno.cwd() === project) Deno.chdir(directory);
  Deno.exit(await runCommandLine(Deno.args));
}
