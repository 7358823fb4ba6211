// SPDX-License-Identifier: MIT
import { ExpectedError } from "./errors.ts";
import { isAbsolute, join } from "@std/path";
import { removeIfThere } from "./ignore_missing.ts";

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

/** Removes the least recently used entries of a directory. @param keep how many stay, of those that `counts` names */
export async function pruneDirectory(
  directory: string,
  { keep, counts }: { keep: number; counts: (name: string) => boolean },
): Promise<void> {
  const entries: { path: string; used: number }[] = [];
  for await (const { name } of Deno.readDir(directory)) {
    if (!counts(name)) continue;
    const path = join(directory, name);
    entries.push({ path, used: (await Deno.stat(path).catch(() => undefined))?.mtime?.getTime() ?? 0 });
  }
  entries.sort((a, b) => b.used - a.used);
  for (const { path } of entries.slice(keep)) await removeIfThere(path).catch(() => {});
}

/** Marks an entry as used just now. */
export async function markAsUsed(path: string): Promise<void> {
  await Deno.utime(path, new Date(), new Date()).catch(() => {});
}
