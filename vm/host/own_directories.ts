// SPDX-License-Identifier: MIT
import { ExpectedError, UsageError } from "./errors.ts";
import { isAbsolute, join } from "@std/path";
import { ignoreMissing, removeIfThere } from "./ignore_missing.ts";

type Environment = (name: string) => string | undefined;

/**
 * Where everything that can be made again is kept: `$XDG_CACHE_HOME/ckptest`, or `~/.cache/ckptest`.
 *
 * @throws {ExpectedError} when neither variable is usable.
 */
export function cacheDirectory(env?: Environment): string {
  return ownDirectory("the cache", { variable: "XDG_CACHE_HOME", belowHome: ".cache" }, env);
}

/**
 * Where nightly runs and their history are kept when no place is named: `$XDG_STATE_HOME/ckptest`, or
 * `~/.local/state/ckptest`. They cannot be made again, so they are not in the cache.
 *
 * @throws {ExpectedError} when neither variable is usable
 */
export function stateDirectory(env?: Environment): string {
  return ownDirectory("the history", { variable: "XDG_STATE_HOME", belowHome: ".local/state" }, env);
}

/** The XDG specification says that a relative value counts as unset. */
function ownDirectory(
  what: string,
  { variable, belowHome }: { variable: string; belowHome: string },
  env: Environment = (name) => Deno.env.get(name),
): string {
  const xdg = env(variable);
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, "ckptest");
  const home = env("HOME");
  if (home !== undefined && home !== "") return join(home, belowHome, "ckptest");
  throw new ExpectedError(`no place for ${what}: neither ${variable} nor HOME is set`);
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
