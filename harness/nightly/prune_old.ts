// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { withFileLock } from "../../vm/file_lock.ts";

/** What {@linkcode pruneOld} removes from. */
export interface PruneOptions {
  /** Below it `nights`. */
  readonly stateDir: string;
  /** Below it `runs`, `logs`, `store` and `git`. */
  readonly cacheDir: string;
  readonly keepDays: number;
  /** For nights, runs and kernels together. */
  readonly keepBytes: number;
  /** Directories that stay. */
  readonly spare?: readonly string[];
}

/** What was removed. */
export interface Pruned {
  readonly entries: number;
  readonly bytes: number;
}

interface Entry {
  readonly path: string;
  readonly kind: string;
  readonly used: number;
  readonly bytes: number;
}

const DAY_MS = 86_400_000;
/** Directories of the cache that grow without end. */
const IN_CACHE = ["runs", "logs", "store", "git"];

/**
 * Removes nights, runs, build logs, kernels and trees of git that were not used for so many days, and then the
 * oldest until the rest fits. What was used within a day stays whatever its size, and so does a night that is running.
 */
export async function pruneOld(options: PruneOptions): Promise<Pruned> {
  const { stateDir, cacheDir, keepDays, keepBytes, spare = [] } = options;
  const places = [join(stateDir, "nights"), ...IN_CACHE.map((name) => join(cacheDir, name))];
  const entries = (await Promise.all(places.map(entriesOf))).flat()
    .filter(({ path, used }) => !spare.includes(path) && Date.now() - used > DAY_MS)
    .sort((a, b) => a.used - b.used);
  let excess = (await Promise.all(places.map(sizeOf))).reduce((sum, bytes) => sum + bytes, 0) - keepBytes;
  const removed = { entries: 0, bytes: 0 };
  for (const entry of entries) {
    if (Date.now() - entry.used <= keepDays * DAY_MS && excess <= 0) continue;
    if (!await removeEntry(entry)) continue;
    excess -= entry.bytes;
    removed.entries++;
    removed.bytes += entry.bytes;
  }
  return removed;
}

async function entriesOf(place: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  try {
    for await (const { name, isSymlink } of Deno.readDir(place)) {
      if (name.startsWith(".") || isSymlink) continue;
      const path = join(place, name);
      if (name.endsWith(".lock")) continue;
      const { mtime, isDirectory } = await Deno.stat(path);
      const kind = place.slice(place.lastIndexOf("/") + 1);
      // A night has its result renamed into it at its end, a kernel is touched when it is used.
      entries.push({ path, kind, used: mtime?.getTime() ?? 0, bytes: isDirectory ? await sizeOf(path) : 0 });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return entries;
}

/** Bytes of all files below a directory; 0 when it is not there. */
async function sizeOf(directory: string): Promise<number> {
  let bytes = 0;
  try {
    for await (const { name, isDirectory } of Deno.readDir(directory)) {
      const path = join(directory, name);
      bytes += isDirectory ? await sizeOf(path) : (await Deno.lstat(path)).size;
    }
  } catch (error) {
    // Others remove what is theirs meanwhile.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return bytes;
}

async function removeEntry({ path, kind }: Entry): Promise<boolean> {
  const remove = async (): Promise<boolean> => {
    await Deno.remove(path, { recursive: true });
    return true;
  };
  try {
    if (kind === "store") return await withFileLock(join(path, "..", ".lock"), remove);
    if (kind !== "nights") return await remove();
    using lock = await Deno.open(join(path, ".lock"), { write: true, create: true });
    return await lock.tryLock(true) && await remove();
  } catch {
    // Not ours to remove, or gone meanwhile: the next night tries again.
    return false;
  }
}
