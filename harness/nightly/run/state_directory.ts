// SPDX-License-Identifier: MIT

import { ExpectedError, UsageError } from "../../../vm/host/errors.ts";
import { ignoreMissing } from "../../../vm/host/ignore_missing.ts";
import { isAbsolute, join } from "@std/path";

/**
 * Where nightly runs and their history are kept when no place is named: `$XDG_STATE_HOME/ckptest`, or
 * `~/.local/state/ckptest`. They cannot be made again, so they are not in the cache.
 *
 * @throws {ExpectedError} when neither variable is usable
 */
export function stateDirectory(env: (name: string) => string | undefined = (n) => Deno.env.get(n)): string {
  const xdg = env("XDG_STATE_HOME");
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, "ckptest");
  const home = env("HOME");
  if (home === undefined || home === "") {
    throw new ExpectedError("no place for the history: neither XDG_STATE_HOME nor HOME is set");
  }
  return join(home, ".local", "state", "ckptest");
}

/**
 * The last one of the directories below a place, whose names begin with a time.
 *
 * @param what they are, for the message
 * @throws {UsageError} when there is none
 */
export async function newestBelow(place: string, what: string): Promise<string> {
  const entries = await Array.fromAsync(Deno.readDir(place)).catch(ignoreMissing) ?? [];
  const last = entries.filter(({ isDirectory }) => isDirectory).map(({ name }) => name).sort().at(-1);
  if (last !== undefined) return join(place, last);
  throw new UsageError(`there is no ${what} to resume in ${place}: name it with --out`);
}
