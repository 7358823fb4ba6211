// SPDX-License-Identifier: MIT
import { ExpectedError } from "./errors.ts";
import { isAbsolute, join } from "@std/path";

/**
 * Where everything that can be made again is kept: `$XDG_CACHE_HOME/ckptest`, or `~/.cache/ckptest`.
 * The XDG specification says that a relative value counts as unset.
 *
 * @throws {ExpectedError} when neither variable is usable.
 */
export function cacheDirectory(env: (name: string) => string | undefined = (n) => Deno.env.get(n)): string {
  const xdg = env("XDG_CACHE_HOME");
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, "ckptest");
  const home = env("HOME");
  if (home === undefined || home === "") {
    throw new ExpectedError("no place for the cache: neither XDG_CACHE_HOME nor HOME is set");
  }
  return join(home, ".cache", "ckptest");
}
